import type { CallNode, EmbedNode, PlanNode } from '@millrace/contracts';

/** Where a call of a plan goes. */
export interface CallPlace {
  route?: string | undefined;
  model?: string | undefined;
}

/** How many calls of a plan follow one upon the other at most. */
export function callsInARow(node: PlanNode): number {
  return heaviestInARow(node, () => 1);
}

/** What the calls weigh that follow one upon the other, on the heaviest way through a plan. */
export function heaviestInARow(node: PlanNode, weigh: (call: CallPlace) => number): number {
  const along = (next: PlanNode): number => heaviestInARow(next, weigh);
  const heaviest = (nodes: readonly (PlanNode | undefined)[]): number =>
    Math.max(0, ...nodes.map((next) => (next ? along(next) : 0)));
  switch (node.type) {
    case 'call':
    case 'embed':
      return placesOf(node).reduce((sum, place) => sum + weigh(place), 0);
    case 'chain':
      return node.steps.reduce((sum, step) => sum + along(step), 0);
    case 'router':
      return along(node.classify) + heaviest([...Object.values(node.routes), node.default]);
    case 'fan_out': {
      const judge = typeof node.join === 'object' ? node.join.judge : undefined;
      return heaviest([...Object.values(node.branches ?? {}), node.node]) + heaviest([judge]);
    }
    case 'map_reduce':
      return along(node.map) + heaviest([node.reduce]);
  }
}

/** Where a call goes, and where it may go on to: to the judge of its answer, and to the dearer route. */
export function placesOf(node: CallNode | EmbedNode): CallPlace[] {
  if (node.type === 'embed' || !node.escalate) return [node];
  const { to, when } = node.escalate;
  return [node, ...(when.judge_below ? [toPlace(when.judge_below.by)] : []), toPlace(to)];
}

function toPlace(name: string): CallPlace {
  return name.includes('/') ? { model: name } : { route: name };
}
