import type { Config } from './config.ts';
import { namedTargets } from './named-targets.ts';

/** What they have unless a call asks for fewer (guide "Vector embeddings"). */
const KNOWN: readonly [ending: string, dimensions: number][] = [
  ['text-embedding-3-large', 3_072],
  ['text-embedding-3-small', 1_536],
  ['text-embedding-ada-002', 1_536],
];

/**
 * Says how many numbers a vector of a model has, or one of any target of a route at most, where the call names no dimensions.
 * Null where no model is known.
 */
export function createFindDimensions({
  routes,
}: Pick<Config, 'routes'>): (reference: {
  route: string | undefined;
  model: string | undefined;
}) => number | null {
  return ({ route, model }) => {
    const known = namedTargets(routes, { route, model }).flatMap((target) =>
      KNOWN.flatMap(([ending, dimensions]) => (target.endsWith(ending) ? [dimensions] : [])),
    );
    return known.length === 0 ? null : Math.max(...known);
  };
}
