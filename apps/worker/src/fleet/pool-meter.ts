import type { WorkerSign } from '@millrace/contracts';

/** What this process does in each pool, for the fleet's plan. */
export interface PoolMeter {
  /** A wake is being handled; the answer is to be called when it is not any more. */
  begin(pool: string): () => void;
  /** A call ended that held its place from its departure to its record for this long. */
  note(pool: string, heldMs: number): void;
  /** Times a part of what a call does before it departs, which holds its place too; waiting for the limits is none. */
  timed<Result>(part: string, work: () => Promise<Result>): Promise<Result>;
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
  /** How long each part before a departure takes. */
  const parts = new Map<string, number>();

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
    async timed(part, work) {
      const startedAt = now();
      try {
        return await work();
      } finally {
        const took = now() - startedAt;
        const known = parts.get(part) ?? took;
        parts.set(part, known + (took - known) * WEIGHT);
      }
    },
    read() {
      const beforeMs = [...parts.values()].reduce((sum, each) => sum + each, 0);
      return Object.fromEntries(
        [...states].map(([pool, { ended, holdMs: heldMs, begun }]) => {
          const [oldest] = begun;
          const holdMs = heldMs === null ? null : heldMs + beforeMs;
          return [pool, { running: begun.size, ended, holdMs, oldestMs: oldest ? now() - oldest.at : 0 }];
        }),
      );
    },
  };
}
