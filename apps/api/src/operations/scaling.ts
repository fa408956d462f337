import { bottlenecks, priorities } from '@millrace/contracts';
import type { PoolPlan, ScalingPlan } from '@millrace/contracts';
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
        wanted_concurrency: z.int().nullable().meta({
          description:
            'Calls that should run at a time: enough to take the backlog in time, no more than the limits can feed. This and what follows is null when no scheduler plans.',
        }),
        granted_concurrency: z.int().nullable().meta({
          description: 'Calls that the live workers may run at a time, between them.',
        }),
        feedable_concurrency: z.int().nullable().meta({
          description: 'Calls at a time that the limits can feed; null also where nothing bounds it.',
        }),
        bottleneck: z.enum(bottlenecks).nullable().meta({
          description: 'What decides the wanted concurrency; with `limit` more workers cannot help.',
        }),
        limits: z
          .array(
            z.object({
              dimension: z.string().meta({
                description:
                  '`requests`, `tokens`, `inputTokens` or `outputTokens`, of a minute; `concurrency`, calls at a time.',
              }),
              limit: z.number().meta({ description: 'In force; the provider may have changed it.' }),
              used: z.number().meta({ description: 'What our calls hold of it.' }),
              outside: z.number().meta({ description: 'Set aside for others who use the account.' }),
            }),
          )
          .nullable()
          .meta({ description: 'How the limits of the pool stand; empty where nothing is limited.' }),
        limit_share: z.number().nullable().meta({
          description: 'What we may fill of each limit: 1, and less after the provider asked to slow down.',
        }),
        calls_per_second: z.number().nullable(),
        call_seconds: z.number().nullable().meta({ description: 'How long a call takes.' }),
        wait_seconds: z.record(z.enum(priorities), z.number().nullable()).nullable().meta({
          description:
            'How long a call that joins its class now may have to wait; null when nothing can be told.',
        }),
      }),
    ),
    wanted_concurrency: z.int().nullable().meta({ description: 'Of all pools together.' }),
    actual_concurrency: z.int().meta({ description: 'Calls under way in all pools together.' }),
    wanted_processes: z.int().nullable().meta({
      description:
        'Worker processes that there should be: the most that any pool wants, over what one process carries. For scalers.',
    }),
    actual_processes: z.int().nullable().meta({ description: 'Worker processes that live.' }),
    desired_workers: z
      .int()
      .meta({ description: 'The most that any pool wants: a worker serves all pools.' }),
  })
  .meta({ id: 'Scaling' });

export type Scaling = z.infer<typeof scalingSchema>;

/**
 * How many worker processes there should be, and why, as the leading scheduler has it; and what the open calls alone could
 * use (`desired_workers`), whatever the limits.
 */
export async function measureScaling(options: {
  database: Queryable;
  pools: readonly string[];
  /** Calls that one worker runs at a time, per pool. */
  workerConcurrency: number;
  countWorkers: (pool: string) => Promise<number | null>;
  plan: ScalingPlan | null;
}): Promise<Scaling> {
  const { plan } = options;
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
      ...planned(plan?.pools[name] ?? null),
    };
  }
  const desired = Math.max(0, ...Object.values(pools).map((pool) => pool.desired_workers));
  const sum = (numbers: number[]): number => numbers.reduce((total, each) => total + each, 0);
  return {
    pools,
    wanted_concurrency: plan && sum(Object.values(plan.pools).map(({ wanted }) => wanted)),
    actual_concurrency: sum(Object.values(pools).map((pool) => pool.running_calls)),
    wanted_processes: plan && plan.wantedProcesses,
    actual_processes: plan && plan.workers.length,
    desired_workers: desired,
  };
}

function planned(pool: PoolPlan | null) {
  const seconds = (ms: number | null | undefined): number | null => (ms == null ? null : ms / 1_000);
  return {
    wanted_concurrency: pool && pool.wanted,
    granted_concurrency: pool && pool.granted,
    feedable_concurrency: pool && pool.feedable,
    bottleneck: pool && pool.bottleneck,
    limits: pool?.limits ?? null,
    limit_share: pool?.limitShare ?? null,
    calls_per_second: pool && pool.ratePerSecond,
    call_seconds: seconds(pool?.holdMs),
    wait_seconds: pool && {
      realtime: seconds(pool.classes.realtime.waitMs),
      standard: seconds(pool.classes.standard.waitMs),
      background: seconds(pool.classes.background.waitMs),
    },
  };
}
