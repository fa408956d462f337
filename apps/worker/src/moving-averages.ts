/** How large something of each key (a target, a route) has been lately. */
export interface MovingAverages {
  /** Null while nothing is known. */
  of(key: string): number | null;
  note(key: string, value: number): void;
}

const WEIGHT = 1 / 16;
const MOST_KEYS = 1_000;

/** A moving average per key, for one process. */
export function createMovingAverages(): MovingAverages {
  const averages = new Map<string, number>();
  return {
    of: (key) => averages.get(key) ?? null,
    note(key, value) {
      const average = averages.get(key) ?? value;
      averages.delete(key);
      averages.set(key, average + (value - average) * WEIGHT);
      // Clients name models: those that were used least lately are forgotten.
      for (const oldest of averages.keys()) {
        if (averages.size <= MOST_KEYS) break;
        averages.delete(oldest);
      }
    },
  };
}
