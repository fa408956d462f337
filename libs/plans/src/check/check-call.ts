import type { CallNode, EmbedNode } from '@millrace/contracts';
import { checkOutputSchema } from './check-output-schema.ts';
import type { PlanChecker } from './check-plan.ts';
import { checkSystem, checkTemplate } from './check-template.ts';
import { checkEscalation } from './check-escalation.ts';
import { joinPath } from './join-path.ts';

/** A call: one target, one way to give the prompt, templates, caps, the output schema. */
export function checkCall(checker: PlanChecker, node: CallNode, path: string): void {
  checkTarget(checker, node, path);
  checkPrompt(checker, node, path);
  if (node.system !== undefined) checkSystem(checker, node.system, joinPath(path, 'system'));
  if (node.output) checkOutputSchema(checker, node.output.schema, joinPath(path, 'output.schema'));
  if (node.escalate) checkEscalation(checker, node, node.escalate, joinPath(path, 'escalate'));
  const { maxOutputTokens } = checker.limits;
  if (node.max_output_tokens !== undefined && node.max_output_tokens > maxOutputTokens) {
    const at = joinPath(path, 'max_output_tokens');
    checker.problems.add('validation_failed', at, `at most ${maxOutputTokens} may be asked for`);
  }
  checkSampling(checker, node, path);
  checkSize(checker, node, path, [
    node.prompt ?? '',
    node.system ?? '',
    ...(node.messages ?? []).map(({ content }) => content),
  ]);
}

/** 1 is what every vendor does anyway. */
const USUAL_SAMPLING = 1;

/** Where nobody could answer as it is asked for, the call is refused instead of being answered otherwise. */
function checkSampling({ findUnsampled, problems }: PlanChecker, node: CallNode, path: string): void {
  const asked = (['temperature', 'top_p'] as const).filter(
    (name) => node[name] !== undefined && node[name] !== USUAL_SAMPLING,
  );
  if (asked.length === 0) return;
  const reason = findUnsampled?.({ route: node.route, model: node.model }) ?? null;
  if (reason === null) return;
  for (const name of asked) problems.add('validation_failed', joinPath(path, name), reason);
}

/** One call that no minute of its limits can hold would wait for ever. */
export function checkSize(
  { findOversize, problems }: PlanChecker,
  node: CallNode | EmbedNode,
  path: string,
  texts: readonly string[],
): void {
  if (!findOversize) return;
  const asked = node.type === 'call' ? (node.max_output_tokens ?? null) : 0;
  const reason = findOversize({
    route: node.route,
    model: node.model,
    characters: texts.reduce((sum, text) => sum + literalLength(text), 0),
    maxOutputTokens: asked,
  });
  if (reason === null) return;
  const field = asked === null || node.type === 'embed' ? '' : 'max_output_tokens';
  problems.add('call_too_large', field === '' ? path : joinPath(path, field), `the call ${reason}`);
}

/** Characters that a template has whatever the data is: a tag may also leave things out. */
function literalLength(template: string): number {
  return template.includes('{%') ? 0 : template.replaceAll(/\{\{.*?\}\}/gs, '').length;
}

/** Exactly one of route and model, and one that is configured. */
export function checkTarget(
  checker: PlanChecker,
  { route, model }: Pick<CallNode, 'route' | 'model'>,
  path: string,
): void {
  const { problems, isKnownTarget } = checker;
  if (route === undefined && model === undefined) {
    problems.add('validation_failed', path, 'a call needs a route or a model');
    return;
  }
  if (route !== undefined && model !== undefined) {
    problems.add('validation_failed', joinPath(path, 'model'), 'route and model exclude each other');
  }
  if (route !== undefined && !isKnownTarget({ route })) {
    problems.add('unknown_model', joinPath(path, 'route'), `no route "${excerpt(route)}" is configured`);
  }
  if (model !== undefined && !isKnownTarget({ model })) {
    problems.add('unknown_model', joinPath(path, 'model'), `no model "${excerpt(model)}" is configured`);
  }
}

function checkPrompt(checker: PlanChecker, { prompt, messages }: CallNode, path: string): void {
  const { problems } = checker;
  if (prompt === undefined && messages === undefined) {
    problems.add('validation_failed', path, 'a call needs a prompt or messages');
  }
  if (prompt !== undefined && messages !== undefined) {
    problems.add('validation_failed', joinPath(path, 'messages'), 'prompt and messages exclude each other');
  }
  if (prompt !== undefined) checkTemplate(checker, prompt, joinPath(path, 'prompt'));
  for (const [index, message] of (messages ?? []).entries()) {
    checkTemplate(checker, message.content, joinPath(path, `messages[${index}].content`));
  }
}

function excerpt(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80).toWellFormed()}…` : text;
}
