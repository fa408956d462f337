import type { CallNode, StepRequest } from '@millrace/contracts';
import type { Place, Run } from '../run/run.ts';
import type { Scope } from '../run/scope.ts';
import { callKey } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';
import { runEscalation } from './escalation.ts';
import { renderOrFail } from './render-or-fail.ts';

/** One model call: one step, or up to three where it may be escalated. */
export function runCall(run: Run, node: CallNode, place: Place): Promise<Settled> {
  const key = callKey(place.path);
  const request = (): StepRequest => renderOrFail(key, place, () => renderCall(run, node, place.scope));
  if (node.escalate) return runEscalation(run, node.escalate, { key, place, request });
  return run.step(key, place, request);
}

/**
 * The request of a call with its templates rendered. The system text is rendered with `params` alone, whatever the check
 * at intake has let through: data can never become instruction. Throws TemplateError, its message begins with the field.
 */
export function renderCall(run: Run, node: CallNode, scope: Scope): StepRequest {
  return {
    kind: 'call',
    route: node.route ?? null,
    model: node.model ?? null,
    system:
      node.system === undefined
        ? null
        : run.templates.render(node.system, { params: scope.params }, 'system'),
    messages: renderMessages(run, node, scope),
    output: node.output ? { schema: node.output.schema, name: node.output.name ?? 'output' } : null,
    maxOutputTokens: node.max_output_tokens ?? run.limits.defaultMaxOutputTokens,
    ...(node.temperature === undefined ? {} : { temperature: node.temperature }),
    ...(node.top_p === undefined ? {} : { topP: node.top_p }),
    stream: node.stream ?? false,
  };
}

function renderMessages(run: Run, node: CallNode, scope: Scope): StepRequest['messages'] {
  if (node.messages === undefined) {
    return [{ role: 'user', content: run.templates.render(node.prompt ?? '', scope, 'prompt') }];
  }
  return node.messages.map(({ role, content }, index) => ({
    role,
    content: run.templates.render(content, scope, `messages[${index}].content`),
  }));
}
