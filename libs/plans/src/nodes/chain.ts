import type { ChainNode } from '@millrace/contracts';
import type { Place, Run } from '../run/run.ts';
import { withStep } from '../run/scope.ts';
import { childPath } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';

/** Nodes in order; each sees the outputs of those before it as `steps.<name>`. The output is the last one's. */
export async function runChain(run: Run, node: ChainNode, place: Place): Promise<Settled> {
  let { scope } = place;
  let settled: Settled = { output: null, ordinal: place.after };
  const last = node.steps.length - 1;
  for (const [index, step] of node.steps.entries()) {
    settled = await run.node(step, {
      path: childPath(place.path, step.name),
      scope,
      after: settled.ordinal,
      // Only the last one's end is an end of the chain; the others let the chain go on at once.
      barrier: index === last ? place.barrier : null,
    });
    scope = withStep(scope, step.name, settled.output);
  }
  return settled;
}
