/** What a process knows of closed pools, so that booked calls that wait for their time hear of a pause. */
export interface Closings {
  /** This process has closed the pool itself. */
  note(pool: string, forMs: number): void;
  /** For how long the pool is closed, as of at most 100 ms ago. */
  closedFor(pool: string): Promise<number>;
}

const FRESH_MS = 100;

/** Asks for the time that a pool is parked at most ten times a second, however many calls wait. `now` is monotonic, in ms. */
export function createClosings(options: {
  parkedFor: (pool: string) => Promise<number>;
  now: () => number;
}): Closings {
  const { parkedFor, now } = options;
  const known = new Map<string, { until: Promise<number>; asOf: number }>();
  const ask = async (pool: string): Promise<number> => {
    const ms = await parkedFor(pool);
    return now() + ms;
  };
  return {
    note(pool, forMs) {
      known.set(pool, { until: Promise.resolve(now() + forMs), asOf: now() });
    },
    async closedFor(pool) {
      let entry = known.get(pool);
      if (!entry || now() - entry.asOf > FRESH_MS) {
        entry = { until: ask(pool), asOf: now() };
        known.set(pool, entry);
      }
      return Math.max(0, (await entry.until) - now());
    },
  };
}
