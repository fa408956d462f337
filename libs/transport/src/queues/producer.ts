import { createHash } from 'node:crypto';
import type { DeliveryWake, JobWake, Priority, StepWake } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { priorityNumber } from './priority-number.ts';
import { jobsQueue, poolQueue, webhooksQueue } from './queue-names.ts';
import { requireConnection } from './require-connection.ts';

/** Wakes of one job collapse while one is queued. */
export interface JobWakeRequest extends JobWake {
  priority: Priority;
  delayMs?: number;
}

/** Wakes with the same step and fence collapse while one is queued. */
export interface StepWakeRequest extends StepWake {
  pool: string;
  priority: Priority;
  fence: number;
  delayMs: number;
}

export interface DeliveryWakeRequest extends DeliveryWake {
  fence: number;
  delayMs: number;
}

/**
 * Puts wakes on the queues. A wake that cannot be put there throws, at once or after a second; the reconciler then does it
 * later.
 */
export interface Producer {
  enqueueJobs(wakes: readonly JobWakeRequest[]): Promise<void>;
  enqueueSteps(wakes: readonly StepWakeRequest[]): Promise<void>;
  enqueueDeliveries(wakes: readonly DeliveryWakeRequest[]): Promise<void>;
  /** Every queue, for boards and gauges: jobs, webhooks and one per pool. */
  queues: readonly Queue[];
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** A connection of the role `producer`. */
  redis: Redis;
  names: KeyNames;
  pools: readonly string[];
  onError: (error: Error) => void;
}

/**
 * A wake that ended is forgotten: its id stands for a state of the ledger, and BullMQ would ignore the next wake with an id
 * that it still knows. So the reconciler may wake a backlog again and again, and the queue does not grow by it.
 */
const FORGET = { removeOnComplete: true, removeOnFail: true } as const;

/** Makes the queues' producing side. */
export function createProducer(options: ProducerOptions): Producer {
  const open = (name: string): Queue => {
    const queue = new Queue(name, {
      connection: options.redis,
      prefix: options.names.queues,
      defaultJobOptions: FORGET,
      skipVersionCheck: true,
    });
    queue.on('error', options.onError);
    return queue;
  };
  const jobs = open(jobsQueue);
  const webhooks = open(webhooksQueue);
  const pools = new Map(options.pools.map((pool) => [pool, open(poolQueue(pool))]));
  /** Steps of a pool that the configuration no longer has still find their way when it comes back. */
  const poolOf = (pool: string): Queue => {
    const known = pools.get(pool) ?? open(poolQueue(pool));
    pools.set(pool, known);
    return known;
  };

  return {
    async enqueueJobs(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(options.redis);
      await jobs.addBulk(
        wakes.map(({ jobId, priority, delayMs }) => ({
          name: 'advance',
          data: { jobId },
          opts: { jobId: wakeId(jobId), priority: priorityNumber(priority), ...delayed(delayMs ?? 0) },
        })),
      );
    },
    async enqueueSteps(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(options.redis);
      const byPool = Map.groupBy(wakes, (wake) => wake.pool);
      await Promise.all(
        [...byPool].map(([pool, group]) =>
          poolOf(pool).addBulk(
            group.map(({ jobId, key, fence, priority, delayMs }) => ({
              name: 'call',
              data: { jobId, key },
              opts: {
                jobId: wakeId(jobId, key, fence),
                priority: priorityNumber(priority),
                ...delayed(delayMs),
              },
            })),
          ),
        ),
      );
    },
    async enqueueDeliveries(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(options.redis);
      await webhooks.addBulk(
        wakes.map(({ deliveryId, fence, delayMs }) => ({
          name: 'deliver',
          data: { deliveryId },
          opts: {
            jobId: wakeId(deliveryId, fence),
            priority: priorityNumber('standard'),
            ...delayed(delayMs),
          },
        })),
      );
    },
    get queues() {
      return [jobs, ...pools.values(), webhooks];
    },
    async close() {
      await Promise.all([jobs, webhooks, ...pools.values()].map((queue) => queue.close()));
    },
  };
}

function delayed(delayMs: number): { delay?: number } {
  return delayMs > 0 ? { delay: Math.ceil(delayMs) } : {};
}

/** BullMQ refuses ids with ":" and pure numbers, and step keys may be long: so the id is a hash. */
function wakeId(...parts: (string | number)[]): string {
  return `w${createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 27)}`;
}
