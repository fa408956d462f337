/** How long calls of each target have taken lately. */
export interface UsualDurations {
  /** In ms; 0 while nothing is known. */
  of(target: string): number;
  note(target: string, durationMs: number): void;
}

const WEIGHT = 1 / 16;
const MOST_TARGETS = 1_000;

/** A moving average per target, for one process. */
export function createUsualDurations(): UsualDurations {
  const averages = new Map<string, number>();
  return {
    of: (target) => averages.get(target) ?? 0,
    note(target, durationMs) {
      const average = averages.get(target) ?? durationMs;
      averages.delete(target);
      averages.set(target, average + (durationMs - average) * WEIGHT);
      // Clients name models: those that were used least lately are forgotten.
      for (const oldest of averages.keys()) {
        if (averages.size <= MOST_TARGETS) break;
        averages.delete(oldest);
      }
    },
  };
}
