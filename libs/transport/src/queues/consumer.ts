import { setTimeout as pause } from 'node:timers/promises';
import type { Service } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { z } from 'zod';

/** What the transport knows about a wake. */
export interface WakeContext {
  /** How often a process died (or stood still) while it had this wake. */
  stalls: number;
  /** Its number in the order of the queue. */
  place: number;
}

export interface ConsumerOptions<Schema extends z.ZodType> {
  queue: string;
  /** A connection of the role `worker`. */
  redis: Redis;
  names: KeyNames;
  concurrency: number;
  payload: Schema;
  /** Looks at the ledger. A throw leaves the work to the reconciler. */
  handle: (wake: z.output<Schema>, context: WakeContext) => Promise<void>;
  onFailure: (error: Error) => void;
  onError: (error: Error) => void;
}

/** A consumer whose number of wakes at a time can be changed while it runs. */
export interface Consumer extends Service {
  setConcurrency(concurrency: number): void;
  /** Keeps every consumer of this queue from taking wakes for a time; a shorter pause changes nothing of a longer one. Never throws. */
  pauseFor(forMs: number): void;
}

/**
 * BullMQ gives the wakes of a dead process to another one after LOCK + STALLED_INTERVAL at the latest. Its defaults
 * (30 s each) would make that a minute and more.
 */
const LOCK_MS = 8_000;
const STALLED_INTERVAL_MS = 4_000;

const MOST_PER_SECOND = 1_000_000_000;

/**
 * As BullMQ's `rateLimit` (its limiter's count is set to more than it may be), but a longer pause that is set stays: several
 * processes pause a queue for reasons of their own.
 *
 * KEYS: the queue's limiter. ARGV: ms, a count that only a pause reaches.
 */
const PAUSE = `
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if count < tonumber(ARGV[2]) or redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '${Number.MAX_SAFE_INTEGER}', 'PX', ARGV[1])
end
return 1`;

/** How long a stopping consumer tells Redis what it has done before it gives up. */
const LAST_WORD_MS = 2_000;

/**
 * Consumes a queue. A payload that does not fit its schema is dropped with an error. Stopping takes no more wakes and
 * waits for those that are being handled; not for a Redis that is away, which then gives their wakes to another process.
 */
export function createConsumer<Schema extends z.ZodType>(options: ConsumerOptions<Schema>): Consumer {
  let worker: Worker | null = null;
  let concurrency = options.concurrency;
  let handling = 0;
  let onIdle: (() => void) | null = null;

  async function handle(data: unknown, context: WakeContext): Promise<void> {
    handling += 1;
    try {
      await options.handle(options.payload.parse(data), context);
    } catch (error) {
      options.onFailure(error instanceof Error ? error : new Error(String(error)));
      // BullMQ keeps the message and shows it on the board; what libraries put into messages is not for there.
      throw new Error(error instanceof Error ? error.name : 'Error');
    } finally {
      handling -= 1;
      if (handling === 0) onIdle?.();
    }
  }

  async function close(stopping: Worker): Promise<void> {
    const idle = new Promise<void>((resolve) => {
      onIdle = resolve;
    });
    if (handling === 0) onIdle?.();
    const closed = new AbortController();
    const closing = stopping.close().catch(options.onError);
    void closing.then(() => closed.abort());
    await Promise.race([closing, idle.then(() => pause(LAST_WORD_MS, null, closed)).catch(() => closing)]);
  }

  return {
    name: `consumer of ${options.queue}`,
    async start() {
      const created = new Worker(
        options.queue,
        (job) => handle(job.data, { stalls: job.stalledCounter, place: job.priority }),
        {
          connection: options.redis,
          prefix: options.names.queues,
          concurrency,
          lockDuration: LOCK_MS,
          stalledInterval: STALLED_INTERVAL_MS,
          // The ledger counts deaths; the transport only has to try again.
          maxStalledCount: 1_000,
          // Never reached; BullMQ obeys `pauseFor` below only on queues that have a limiter.
          limiter: { max: MOST_PER_SECOND, duration: 1_000 },
          // Not `skipVersionCheck`: BullMQ would take Redis for an old one and round every delay up to whole seconds.
        },
      );
      created.on('error', options.onError);
      worker = created;
    },
    async stop() {
      const stopping = worker;
      worker = null;
      if (stopping) await close(stopping);
    },
    pauseFor(forMs) {
      if (!worker) return;
      const key = `${options.names.queues}:${options.queue}:limiter`;
      void options.redis.eval(PAUSE, 1, key, Math.ceil(forMs), MOST_PER_SECOND).catch(options.onError);
    },
    setConcurrency(next) {
      concurrency = next;
      if (worker) worker.concurrency = next;
    },
  };
}
