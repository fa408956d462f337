import type { WorkerSign } from '@millrace/contracts';

/** What this process does in each pool, for the fleet's plan. */
export interface PoolMeter {
  /** A wake is being handled; the answer is to be called when it is not any more. */
  begin(pool: string): () => void;
  /** A call ended that held its place from its departure to its record for this long. */
  note(pool: string, heldMs: number): void;
  read(): WorkerSign['pools'];
}

interface PoolState {
  ended: number;
  holdMs: number | null;
  /** When the wakes that are being handled began: the oldest comes first. */
  begun: Set<{ at: number }>;
}

/** So that a change of pace is seen after some tens of calls. */
const WEIGHT = 1 / 16;

/** Measures the pools of one process. `now` is monotonic, in ms. */
export function createPoolMeter(
  pools: readonly string[],
  now: () => number = () => performance.now(),
): PoolMeter {
  const states = new Map<string, PoolState>();
  const stateOf = (pool: string): PoolState => {
    const known = states.get(pool) ?? { ended: 0, holdMs: null, begun: new Set() };
    states.set(pool, known);
    return known;
  };
  for (const pool of pools) stateOf(pool);

  return {
    begin(pool) {
      const { begun } = stateOf(pool);
      const one = { at: now() };
      begun.add(one);
      return () => void begun.delete(one);
    },
    note(pool, heldMs) {
      const state = stateOf(pool);
      state.ended += 1;
      const held = Math.max(0, heldMs);
      // The first calls make a mean of their own, so that one that was unusual does not count for long.
      const weight = Math.max(WEIGHT, 1 / state.ended);
      state.holdMs = state.holdMs === null ? held : state.holdMs + (held - state.holdMs) * weight;
    },
    read: () =>
      Object.fromEntries(
        [...states].map(([pool, { ended, holdMs, begun }]) => {
          const [oldest] = begun;
          return [pool, { running: begun.size, ended, holdMs, oldestMs: oldest ? now() - oldest.at : 0 }];
        }),
      ),
  };
}
