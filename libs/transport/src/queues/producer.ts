import { createHash } from 'node:crypto';
import type { Charge, DeliveryWake, JobWake, Priority, StepWake } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { createFairOrder, inPieces, placeTokens } from './fair-order.ts';
import { priorityNumber } from './priority-number.ts';
import { jobsQueue, poolOfQueue, poolQueue, webhooksQueue } from './queue-names.ts';
import { requireConnection } from './require-connection.ts';

/** Wakes of one job collapse while one is queued. */
export interface JobWakeRequest extends JobWake {
  priority: Priority;
  /** Whose new job it is: tenants take turns. Without it the job was begun before, and goes before the new ones of its class. */
  tenantId?: string | null;
  delayMs?: number;
}

/** Wakes with the same step and fence collapse while one is queued. */
export interface StepWakeRequest extends StepWake {
  pool: string;
  priority: Priority;
  fence: number;
  delayMs: number;
  /**
   * Who pays for the step's place. Null for one that this pool handed out before: it goes before the newcomers of its class
   * and pays nothing again.
   */
  charge: Charge | null;
  /** The number at which this pool handed it out, for one that only waits for the pool: it goes back there. */
  place?: number;
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
  /** Moves wakes that wait into the class that they name; those that wait no more are left alone. */
  raiseSteps(wakes: readonly StepWakeRequest[]): Promise<void>;
  /**
   * Makes room where the numbers of a queue come to an end; for one process at a time, every few seconds. Returns how many
   * wakes got another number.
   */
  makeRoom(): Promise<number>;
  /** Every queue, for boards and gauges: jobs, webhooks and one per pool. */
  queues: readonly Queue[];
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** A connection of the role `producer`. */
  redis: Redis;
  names: KeyNames;
  pools: readonly string[];
  /** The weight of a tenant's tier relative to others, by default 1 for every tier. */
  weightOf?: (tier: string) => number;
  /** What a pool does in a minute, null if nobody knows. */
  tokensPerMinuteOf?: (pool: string) => number | null;
  onError: (error: Error) => void;
}

/**
 * A wake that ended is forgotten: its id stands for a state of the ledger, and BullMQ would ignore the next wake with an id
 * that it still knows. So the reconciler may wake a backlog again and again, and the queue does not grow by it.
 */
const FORGET = { removeOnComplete: true, removeOnFail: true } as const;

/** Makes the queues' producing side. */
export function createProducer(options: ProducerOptions): Producer {
  const { redis, names, onError, weightOf = () => 1, tokensPerMinuteOf = () => null } = options;
  const open = (name: string): Queue => {
    const queue = new Queue(name, {
      connection: redis,
      prefix: names.queues,
      defaultJobOptions: FORGET,
      skipVersionCheck: true,
    });
    queue.on('error', onError);
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

  const order = createFairOrder({
    redis,
    names,
    weightOf,
    unitOf: (queue) => (queue === jobsQueue ? 1 : placeTokens(tokensPerMinuteOf(poolOfQueue(queue)))),
    onError,
  });
  /** Piece by piece, so that a number never is on its way for long. */
  async function enqueueInOrder(queue: Queue, wakes: readonly StepWakeRequest[]): Promise<void> {
    for (const some of inPieces(wakes.map(withId))) {
      const numbered = missing(some, await order.number(queue, some));
      await queue.addBulk(
        numbered.map(({ wake: { id, jobId, key, delayMs }, priority }) => ({
          name: 'call',
          data: { jobId, key },
          opts: { jobId: id, priority, ...delayed(delayMs) },
        })),
      );
    }
  }

  return {
    async enqueueJobs(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(redis);
      for (const some of inPieces(wakes.map(withTurn))) {
        const numbered = missing(some, await order.number(jobs, some));
        await jobs.addBulk(
          numbered.map(({ wake: { id, jobId, delayMs }, priority }) => ({
            name: 'advance',
            data: { jobId },
            opts: { jobId: id, priority, ...delayed(delayMs ?? 0) },
          })),
        );
      }
    },
    async enqueueSteps(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(redis);
      const byPool = Map.groupBy(wakes, (wake) => wake.pool);
      await Promise.all([...byPool].map(([pool, group]) => enqueueInOrder(poolOf(pool), group)));
    },
    async enqueueDeliveries(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(redis);
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
    async raiseSteps(wakes) {
      if (wakes.length === 0) return;
      await requireConnection(redis);
      const byPool = Map.groupBy(wakes, (wake) => wake.pool);
      for (const [pool, group] of byPool) await order.raise(poolOf(pool), group.map(withId));
    },
    async makeRoom() {
      await requireConnection(redis);
      let renumbered = 0;
      for (const queue of [jobs, ...pools.values()]) renumbered += await order.rebase(queue);
      return renumbered;
    },
    get queues() {
      return [jobs, ...pools.values(), webhooks];
    },
    async close() {
      await Promise.all([jobs, webhooks, ...pools.values()].map((queue) => queue.close()));
    },
  };
}

/** The wakes that are not on the queue yet, with their numbers: a backlog that the reconciler wakes again costs little. */
function missing<Wake>(
  wakes: readonly Wake[],
  numbers: readonly number[],
): { wake: Wake; priority: number }[] {
  return wakes.flatMap((wake, index) => {
    const priority = numbers[index] ?? 0;
    return priority === 0 ? [] : [{ wake, priority }];
  });
}

/** One job costs as much as another. */
function withTurn({ tenantId, ...wake }: JobWakeRequest) {
  const charge = tenantId ? { tenantId, tier: '', tokens: 1, aged: false } : null;
  return { ...wake, id: wakeId(wake.jobId), charge };
}

function withId(wake: StepWakeRequest): StepWakeRequest & { id: string } {
  return { ...wake, id: wakeId(wake.jobId, wake.key, wake.fence) };
}

function delayed(delayMs: number): { delay?: number } {
  return delayMs > 0 ? { delay: Math.ceil(delayMs) } : {};
}

/** BullMQ refuses ids with ":" and pure numbers, and step keys may be long: so the id is a hash. */
function wakeId(...parts: (string | number)[]): string {
  return `w${createHash('sha256').update(parts.join('\n')).digest('base64url').slice(0, 27)}`;
}
