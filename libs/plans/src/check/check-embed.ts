import type { EmbedNode, PlanNode } from '@millrace/contracts';
import { checkSize, checkTarget } from './check-call.ts';
import type { PlanChecker } from './check-plan.ts';
import { checkTemplate } from './check-template.ts';
import { joinPath } from './join-path.ts';

/**
 * About 16 MB of JSON: 2,048 vectors of text-embedding-3-small in base64, a quarter of that as numbers. More than that is
 * not recorded in time (measured: 60 MB kept a job going round for minutes).
 */
const MAX_NUMBERS = { base64: 2_048 * 1_536, float: 512 * 1_536 } as const;
/** Where neither the call nor the configuration tells: those of text-embedding-3-small. */
const USUAL_DIMENSIONS = 1_536;

/** A call for vectors: one target, all of whose providers can embed, templates, and an output that can be kept. */
export function checkEmbed(checker: PlanChecker, node: EmbedNode, path: string): void {
  const { problems, findUnembeddable, findDimensions } = checker;
  checkTarget(checker, node, path);
  const reason = findUnembeddable?.({ route: node.route, model: node.model }) ?? null;
  if (reason !== null) {
    problems.add('validation_failed', joinPath(path, node.model === undefined ? 'route' : 'model'), reason);
  }
  const texts = typeof node.text === 'string' ? [node.text] : node.text;
  for (const [index, text] of texts.entries()) {
    checkTemplate(checker, text, joinPath(path, typeof node.text === 'string' ? 'text' : `text[${index}]`));
  }
  const encoding = node.encoding_format ?? 'float';
  const most = MAX_NUMBERS[encoding];
  const usual = findDimensions?.({ route: node.route, model: node.model }) ?? USUAL_DIMENSIONS;
  if (texts.length * (node.dimensions ?? usual) > most) {
    const advice =
      encoding === 'float' ? 'ask for fewer at a time, or for base64' : 'ask for fewer at a time';
    const why = `the vectors would have more than ${most} numbers altogether; ${advice}`;
    problems.add('validation_failed', joinPath(path, 'text'), why);
  }
  checkSize(checker, node, path, texts);
}

/** Where a plan needs words, a vector cannot stand. */
export function refuseEmbed(checker: PlanChecker, node: PlanNode | undefined, path: string): void {
  if (node?.type !== 'embed') return;
  checker.problems.add('validation_failed', path, 'a text is needed here, and "embed" answers with a vector');
}
