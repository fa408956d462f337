import type { FanOutNode, Json, PlanNode } from '@millrace/contracts';
import { earliest, gather, gatherAll, latestOrdinal } from '../run/gather.ts';
import type { Place, Run } from '../run/run.ts';
import { withSteps } from '../run/scope.ts';
import type { NodeFailed } from '../run/signals.ts';
import { nodeFailure, suspend } from '../run/signals.ts';
import { childPath } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';
import { countVotes } from './count-votes.ts';

interface Branch {
  /** The name the client gave, null for one of `count` like branches. */
  name: string | null;
  segment: string;
  node: PlanNode;
}

/** The same input to several nodes at once, and one result of theirs. */
export async function runFanOut(run: Run, node: FanOutNode, place: Place): Promise<Settled> {
  const branches = listBranches(node);
  const join = node.join ?? 'all';
  // With nothing to do after its branches, the fan-out is only a part of the barrier around it.
  const isEnd = typeof join !== 'object' && place.barrier !== null;
  const barrier = isEnd ? place.barrier : childPath(place.path, 'fan_out');
  const running = branches.map(({ node: branch, segment }) =>
    run.node(branch, {
      ...place,
      path: childPath(place.path, segment),
      barrier: join === 'first_valid' ? null : barrier,
    }),
  );
  if (join === 'all') return joinAll(branches, running, place);
  if (join === 'first_valid') return joinFirstValid(running, place);
  const { succeeded, ordinal } = await gatherSucceeded(branches, running, place);
  if (join === 'vote') {
    return { output: countVotes(succeeded.map((each) => each.settled.output)), ordinal };
  }
  return runJudge(run, join.judge, { ...place, after: ordinal }, succeeded);
}

function listBranches(node: FanOutNode): Branch[] {
  if (node.branches) {
    return Object.entries(node.branches).map(([name, branch]) => ({ name, segment: name, node: branch }));
  }
  const { node: branch } = node;
  if (!branch) return [];
  const indices = Array.from({ length: node.count ?? 0 }, (_, index) => index);
  return indices.map((index) => ({ name: null, segment: `branch[${index}]`, node: branch }));
}

/** `{name: output}`, or the list of outputs for like branches; one failure fails the node. */
async function joinAll(branches: Branch[], running: Promise<Settled>[], place: Place): Promise<Settled> {
  const settled = await gatherAll(running, place.after);
  const ordinal = latestOrdinal(place.after, settled);
  const outputs = settled.map((each) => each.output);
  if (branches.every((branch) => branch.name === null)) return { output: outputs, ordinal };
  return { output: byName(branches, outputs), ordinal };
}

/**
 * The branch that ended first without failing. Its ordinal decides, not the order in which this run happens to see it: a
 * branch that ends later has a larger ordinal, so the choice stands in every later run.
 */
async function joinFirstValid(running: Promise<Settled>[], place: Place): Promise<Settled> {
  const { completed, failed, asks } = await gather(running);
  const first = earliest(completed.filter((settled) => settled !== null));
  if (first) return first;
  if (asks.length > 0) suspend(asks);
  throw noBranchSucceeded(failed, place);
}

interface Succeeded {
  branch: Branch;
  settled: Settled;
}

/** Waits for every branch and leaves out the failed ones; fails when none is left. */
async function gatherSucceeded(
  branches: Branch[],
  running: Promise<Settled>[],
  place: Place,
): Promise<{ succeeded: Succeeded[]; ordinal: number }> {
  const { completed, failed, asks } = await gather(running);
  if (asks.length > 0) suspend(asks);
  const succeeded = branches.flatMap((branch, index) => {
    const settled = completed[index];
    return settled ? [{ branch, settled }] : [];
  });
  if (succeeded.length === 0) throw noBranchSucceeded(failed, place);
  const ordinal = latestOrdinal(
    latestOrdinal(place.after, failed),
    succeeded.map((each) => each.settled),
  );
  return { succeeded, ordinal };
}

/** The judge sees the outputs as `items` and, where the branches have names, as `steps.<branch>`. */
function runJudge(run: Run, judge: PlanNode, place: Place, succeeded: Succeeded[]): Promise<Settled> {
  const outputs = succeeded.map((each) => each.settled.output);
  const named = byName(
    succeeded.map((each) => each.branch),
    outputs,
  );
  const scope = { ...withSteps(place.scope, named), items: outputs };
  return run.node(judge, { ...place, scope, path: childPath(place.path, 'judge') });
}

function byName(branches: readonly Branch[], outputs: readonly Json[]): Record<string, Json> {
  const named: Record<string, Json> = {};
  for (const [index, branch] of branches.entries()) {
    if (branch.name !== null) named[branch.name] = outputs[index] ?? null;
  }
  return named;
}

function noBranchSucceeded(failed: readonly NodeFailed[], place: Place): NodeFailed {
  const reasons = failed.slice(0, 5).map(({ error }) => `${error.step ?? '?'}: ${error.code}`);
  const more = failed.length > reasons.length ? `, and ${failed.length - reasons.length} more` : '';
  const message = `All ${failed.length} branches failed (${reasons.join(', ')}${more}).`;
  return nodeFailure('no_branch_succeeded', message, place.path, latestOrdinal(place.after, failed));
}
