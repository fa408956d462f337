import type { PlanNode } from '@millrace/contracts';

/** How many calls of a plan follow one upon the other at most. */
export function callsInARow(node: PlanNode): number {
  switch (node.type) {
    case 'call':
      // The judge and the dearer route.
      return node.escalate ? 3 : 1;
    case 'embed':
      return 1;
    case 'chain':
      return node.steps.reduce((sum, step) => sum + callsInARow(step), 0);
    case 'router':
      return callsInARow(node.classify) + longest([...Object.values(node.routes), node.default]);
    case 'fan_out': {
      const judge = typeof node.join === 'object' ? node.join.judge : undefined;
      return longest([...Object.values(node.branches ?? {}), node.node]) + longest([judge]);
    }
    case 'map_reduce':
      return callsInARow(node.map) + longest([node.reduce]);
  }
}

function longest(nodes: readonly (PlanNode | undefined)[]): number {
  return Math.max(0, ...nodes.map((node) => (node ? callsInARow(node) : 0)));
}
