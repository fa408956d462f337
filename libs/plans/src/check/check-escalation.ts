import type { CallNode, Escalation } from '@millrace/contracts';
import type { PlanChecker } from './check-plan.ts';
import { checkSystem } from './check-template.ts';
import { joinPath } from './join-path.ts';

/** An escalation: places that are known, at least one condition, and a schema where its misfit is one. */
export function checkEscalation(
  checker: PlanChecker,
  node: CallNode,
  { to, when }: Escalation,
  path: string,
): void {
  const refuse = (field: string, message: string) =>
    checker.problems.add('validation_failed', joinPath(path, field), message);

  checkPlace(checker, to, joinPath(path, 'to'));
  const isNever =
    when.logprob_below === undefined && when.judge_below === undefined && when.schema_invalid !== true;
  if (isNever) refuse('when', 'at least one of logprob_below, schema_invalid and judge_below is needed');
  if (when.schema_invalid === true && !node.output) {
    refuse('when.schema_invalid', 'a call without an output schema cannot misfit it');
  }
  if (!when.judge_below) return;
  const { by, rubric } = when.judge_below;
  checkPlace(checker, by, joinPath(path, 'when.judge_below.by'));
  if (rubric !== undefined) checkSystem(checker, rubric, joinPath(path, 'when.judge_below.rubric'));
}

function checkPlace({ problems, isKnownTarget }: PlanChecker, place: string, path: string): void {
  const isModel = place.includes('/');
  if (isKnownTarget(isModel ? { model: place } : { route: place })) return;
  const kind = isModel ? 'model' : 'route';
  problems.add('unknown_model', path, `no ${kind} "${place.slice(0, 80).toWellFormed()}" is configured`);
}
