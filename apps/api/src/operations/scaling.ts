import { measureLedger } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import { z } from 'zod';

/** Answer of `GET /internal/scaling`. */
export const scalingSchema = z
  .object({
    pools: z.record(
      z.string(),
      z.object({
        desired_workers: z.int().meta({
          description:
            'Workers that would run all open calls of the pool at once, at the configured concurrency.',
        }),
        actual_workers: z.int().nullable().meta({
          description: 'Workers that listen to the pool; null when Redis cannot tell.',
        }),
        waiting_calls: z.int(),
        running_calls: z.int(),
        oldest_waiting_seconds: z.number(),
      }),
    ),
    desired_workers: z
      .int()
      .meta({ description: 'The most that any pool wants: a worker serves all pools.' }),
  })
  .meta({ id: 'Scaling' });

export type Scaling = z.infer<typeof scalingSchema>;

/**
 * How many worker processes the open calls could use. It knows the demand only: what the provider's limits can feed is not part of it
 * yet.
 */
export async function measureScaling(options: {
  database: Queryable;
  pools: readonly string[];
  /** Calls that one worker runs at a time, per pool. */
  workerConcurrency: number;
  countWorkers: (pool: string) => Promise<number | null>;
}): Promise<Scaling> {
  const { openSteps } = await measureLedger(options.database);
  const names = new Set([...options.pools, ...openSteps.map((reading) => reading.pool)]);
  const pools: Scaling['pools'] = {};
  for (const name of names) {
    const readings = openSteps.filter((reading) => reading.pool === name);
    const waiting = readings.filter((reading) => reading.status === 'pending');
    const running = readings.filter((reading) => ['claimed', 'sent'].includes(reading.status));
    const [waitingCalls, runningCalls] = [waiting, running].map((group) =>
      group.reduce((sum, reading) => sum + reading.count, 0),
    ) as [number, number];
    pools[name] = {
      desired_workers: Math.ceil((waitingCalls + runningCalls) / options.workerConcurrency),
      actual_workers: await options.countWorkers(name),
      waiting_calls: waitingCalls,
      running_calls: runningCalls,
      oldest_waiting_seconds: Math.max(0, ...waiting.map((reading) => reading.oldestAgeSeconds)),
    };
  }
  const desired = Math.max(0, ...Object.values(pools).map((pool) => pool.desired_workers));
  return { pools, desired_workers: desired };
}
