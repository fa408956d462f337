import { z } from 'zod';

/** What decides how many calls of a pool should run at a time. */
export const bottlenecks = [
  /** Nothing waits and nothing runs: the configured minimum. */
  'minimum',
  /** Nothing more waits than the calls under way will take in time. */
  'under_way',
  /** What waits would miss its class's target wait with fewer. */
  'backlog',
  /** The limits cannot feed more. */
  'limit',
  /** The configured maximum. */
  'maximum',
  /** The pool pauses, so that more could not help. */
  'paused',
  /** No call has ended or run for long enough to tell how long one takes: the fleet stays as it is. */
  'unmeasured',
] as const;
export type Bottleneck = (typeof bottlenecks)[number];

const classSchema = z.object({
  /** Calls that wait. */
  waiting: z.int(),
  oldestAgeMs: z.number(),
  /** When a call that joins the class now may expect to leave, from now; null when nothing can be told. */
  waitMs: z.number().nullable(),
  /** When the calls that wait came, in ms since 1970: evenly spaced from the first to the last of the class. */
  arrivals: z.array(z.number()),
});

const limitSchema = z.object({
  /** `requests`, `tokens`, `inputTokens`, `outputTokens` (of a minute), or `concurrency`. */
  dimension: z.string(),
  /** In force: the vendor's headers may have changed the configured one. */
  limit: z.number(),
  /** What our calls hold of it. */
  used: z.number(),
  /** What is set aside for others who use the same account. */
  outside: z.number(),
});

/** How a pool stands and what it should have. */
export const poolPlanSchema = z.object({
  /** Calls at a time that the backlog asks for and the limits can feed. */
  wanted: z.int(),
  /** Calls at a time that the live workers may run; they share it. */
  granted: z.int(),
  /** What the limits can feed; null for any number, or when nothing is known. */
  feedable: z.int().nullable(),
  bottleneck: z.enum(bottlenecks),
  running: z.int(),
  /** How long a call takes; null before any has. */
  holdMs: z.number().nullable(),
  /** Calls that leave per second, measured under load, else expected; null when nothing can be told. */
  ratePerSecond: z.number().nullable(),
  /** The limits as the plan was made by; absent when the book could not be read, or the plan is of an older version. */
  limits: z.array(limitSchema).optional(),
  /** What we may fill of each limit: 1, and less for half an hour after the vendor asked to slow down. Absent like `limits`. */
  limitShare: z.number().optional(),
  classes: z.object({ realtime: classSchema, standard: classSchema, background: classSchema }),
});
export type PoolPlan = z.infer<typeof poolPlanSchema>;

/** What the leading scheduler publishes for workers (their shares), the API (forecasts, intake) and whoever scales processes. */
export const scalingPlanSchema = z.object({
  /** The workers that share it: those that were alive, with the pools that they serve. */
  workers: z.array(z.object({ id: z.string(), capacity: z.int(), pools: z.array(z.string()) })),
  wantedProcesses: z.int(),
  pools: z.record(z.string(), poolPlanSchema),
});
export type ScalingPlan = z.infer<typeof scalingPlanSchema>;

/** What a worker announces of itself while it lives. */
export const workerSignSchema = z.object({
  id: z.string(),
  /** Calls that it can run at a time, per pool. */
  capacity: z.int(),
  pools: z.record(
    z.string(),
    z.object({
      running: z.int(),
      /** Calls that ended since the worker began. */
      ended: z.int(),
      /** How long a call took lately; null before one has ended. */
      holdMs: z.number().nullable(),
      /** For how long the oldest call has been running; 0 when none does. */
      oldestMs: z.number(),
    }),
  ),
});
export type WorkerSign = z.infer<typeof workerSignSchema>;
