import type { Service } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { gather } from '@millrace/ledger';
import type { Metrics } from '@millrace/telemetry';
import type { JobWakeRequest, Producer } from '@millrace/transport';

/** Hands the wakes of new jobs to the transport, many at a time, and waits for nothing. */
export interface WakeQueue extends Service {
  push(wake: JobWakeRequest): void;
}

/** Redis that stands still must not make this process fill its memory with wakes: the reconciler knows them all. */
const MAX_WAITING = 20_000;
/** Redis does nothing else while it takes these, some 40 µs each. */
const MOST_TOGETHER = 50;

/**
 * What cannot be enqueued is counted and dropped: the job is committed, and the reconciler wakes it some seconds later. `isReady`
 * tells whether the transport is connected. Stopping waits for what has been handed over.
 */
export function createWakeQueue(options: {
  producer: Pick<Producer, 'enqueueJobs'>;
  isReady: () => boolean;
  metrics: Metrics;
  onError: (error: unknown) => void;
}): WakeQueue {
  const { producer, metrics } = options;
  const waiting = new Set<Promise<void>>();
  const enqueue = gather<JobWakeRequest, null>(
    async (wakes) => {
      await producer.enqueueJobs(wakes);
      for (const { jobId } of wakes) crashPoint('intake.after-enqueue', jobId);
      return wakes.map(() => null);
    },
    { maxItems: MOST_TOGETHER, concurrency: 1 },
  );
  const drop = (): void => metrics.enqueueFailures.inc({ queue: 'jobs' });

  return {
    name: 'wakes',
    async start() {},
    async stop() {
      await Promise.all(waiting);
    },
    push(wake) {
      if (!options.isReady() || waiting.size >= MAX_WAITING) {
        drop();
        return;
      }
      const handed: Promise<void> = enqueue(wake).then(
        () => {
          waiting.delete(handed);
        },
        (error: unknown) => {
          waiting.delete(handed);
          drop();
          options.onError(error);
        },
      );
      waiting.add(handed);
    },
  };
}
