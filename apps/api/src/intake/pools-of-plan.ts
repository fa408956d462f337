import type { CallNode, EmbedNode, PlanNode } from '@millrace/contracts';

/** Where calls may go: the pools of a route's targets and fallbacks, or of one model. */
export type PoolsOf = (reference: Pick<CallNode, 'route' | 'model' | 'stream'>) => readonly string[];

/** For each call that a plan may make the pools that can serve it; calls with the same choice once. */
export function poolsOfPlan(plan: PlanNode, poolsOf: PoolsOf): readonly (readonly string[])[] {
  const choices = new Map<string, readonly string[]>();
  for (const call of callsOf(plan)) {
    const pools = poolsOf(call);
    if (pools.length > 0) choices.set(pools.join(' '), pools);
  }
  return [...choices.values()];
}

/** Every call that a plan names, as it stands there: one that is made for many chunks or branches once. */
export function callsOf(node: PlanNode): (CallNode | EmbedNode)[] {
  switch (node.type) {
    case 'call':
    case 'embed':
      return [node];
    case 'chain':
      return node.steps.flatMap(callsOf);
    case 'router':
      return [node.classify, ...Object.values(node.routes), ...present(node.default)].flatMap(callsOf);
    case 'fan_out': {
      const judge = typeof node.join === 'object' ? node.join.judge : undefined;
      return [...Object.values(node.branches ?? {}), ...present(node.node), ...present(judge)].flatMap(
        callsOf,
      );
    }
    case 'map_reduce':
      return [node.map, ...present(node.reduce)].flatMap(callsOf);
  }
}

function present(node: PlanNode | undefined): PlanNode[] {
  return node === undefined ? [] : [node];
}
