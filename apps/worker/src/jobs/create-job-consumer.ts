import { jobWakeSchema } from '@millrace/contracts';
import { failJob } from '@millrace/ledger';
import type { Database, FinishedJob } from '@millrace/ledger';
import type { KeyNames } from '@millrace/redis';
import { createConsumer, jobsQueue } from '@millrace/transport';
import type { Consumer, LivePublisher } from '@millrace/transport';
import type { Redis } from '../open-stores.ts';
import type { Advancer } from './create-advancer.ts';

/** As many as the advancer takes into the transactions that it has under way at a time: three of sixteen. */
const JOBS_AT_A_TIME = 48;
/** A plan that took its process down this often is given up. */
const MOST_STALLS = 3;

/** Advances the jobs that are woken. A plan that brought down a process runs apart from others, and fails in the end. */
export function createJobConsumer(options: {
  /** A connection of the role `worker`. */
  redis: Redis;
  names: KeyNames;
  database: Database;
  advanceJob: Advancer;
  onFinished: (finished: FinishedJob) => void;
  publisher: LivePublisher;
  enqueueDeliveries: (deliveryIds: readonly string[]) => Promise<void>;
  onError: (error: unknown) => void;
}): Consumer {
  const { redis, names, database, advanceJob, onError } = options;
  return createConsumer({
    redis,
    names,
    queue: jobsQueue,
    concurrency: JOBS_AT_A_TIME,
    payload: jobWakeSchema,
    handle: async ({ jobId }, { stalls }) => {
      if (stalls < MOST_STALLS) return advanceJob(jobId, { apart: stalls > 0 });
      const error = { code: 'worker_crashed', message: 'The worker died each time it worked on this plan.' };
      const finished = await failJob(database, jobId, error);
      if (!finished) return;
      options.onFinished(finished);
      await options.publisher.publishEvents(finished.events);
      await options.enqueueDeliveries(finished.deliveryIds);
    },
    onError,
    onFailure: onError,
  });
}
