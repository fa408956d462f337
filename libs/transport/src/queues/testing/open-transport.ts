import { jobWakeSchema } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { createConsumer } from '../consumer.ts';
import type { Consumer, WakeContext } from '../consumer.ts';
import { createProducer } from '../producer.ts';
import type { JobWakeRequest, Producer } from '../producer.ts';
import { jobsQueue } from '../queue-names.ts';

/** Queues under a prefix of their own, and everything that was opened on them. */
export interface TestTransport {
  producer: Producer;
  /** A consumer of the queue of jobs. It is stopped with the rest. */
  consume(
    handle: (jobId: string, context: WakeContext) => Promise<void> | void,
    concurrency?: number,
  ): Promise<Consumer>;
  /** A connection of the role of producers. */
  redis: Redis;
  /** What consumers and connections had to say. */
  errors: Error[];
  close(): Promise<void>;
}

/** Opens queues. The producer is not waited for: Redis may be away. */
export function openTransport(url: string, prefix: string): TestTransport {
  const errors: Error[] = [];
  const onError = (error: Error): void => {
    errors.push(error);
  };
  const names = keyNames(prefix);
  const redis = connectRedis({ url, role: 'producer', name: 'test-producer', onError });
  const producer = createProducer({ redis, names, pools: ['openai'], onError });
  const closing: (() => Promise<unknown>)[] = [];
  return {
    producer,
    redis,
    errors,
    async consume(handle, concurrency = 1) {
      const connection = connectRedis({ url, role: 'worker', name: 'test-consumer', onError });
      const consumer = createConsumer({
        queue: jobsQueue,
        redis: connection,
        names,
        concurrency,
        payload: jobWakeSchema,
        handle: async (wake, context) => handle(wake.jobId, context),
        onFailure: onError,
        onError,
      });
      closing.push(
        () => consumer.stop(),
        () => closeRedis(connection),
      );
      await consumer.start();
      return consumer;
    },
    async close() {
      for (const close of closing) await close();
      await producer.close();
      await closeRedis(redis);
    },
  };
}

/** A wake of a job; by itself a standard one. */
export function jobWake(jobId: string, change: Partial<JobWakeRequest> = {}): JobWakeRequest {
  return { jobId, priority: 'standard', ...change };
}
