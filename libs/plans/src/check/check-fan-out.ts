import type { FanOutNode } from '@millrace/contracts';
import type { PlanChecker } from './check-plan.ts';
import { joinPath } from './join-path.ts';

/** A fan-out: named branches, or a count of like ones. */
export function checkFanOut(checker: PlanChecker, node: FanOutNode, path: string): void {
  const refuse = (field: string, message: string) =>
    checker.problems.add('validation_failed', field === '' ? path : joinPath(path, field), message);

  if (node.branches === undefined) {
    if (node.count === undefined && node.node === undefined)
      refuse('', 'branches, or count and node, are needed');
    else if (node.count === undefined) refuse('count', 'node needs a count');
    else if (node.node === undefined) refuse('node', 'count needs a node');
    return;
  }
  if (node.count !== undefined) refuse('count', 'branches and count exclude each other');
  if (node.node !== undefined) refuse('node', 'branches and node exclude each other');
  if (Object.keys(node.branches).length === 0) refuse('branches', 'at least one branch is needed');
  // The judge's own step has that key.
  if (typeof node.join === 'object' && Object.hasOwn(node.branches, 'judge')) {
    refuse('branches.judge', 'a fan-out with a judge cannot have a branch named "judge"');
  }
}
