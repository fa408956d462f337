import { jobWakeSchema } from '@millrace/contracts';
import { connectRedis, keyNames } from '@millrace/redis';
import { createConsumer } from '../consumer.ts';
import { jobsQueue } from '../queue-names.ts';

/** A process of its own that takes a wake, says so, and never gets done with it. */
const [url = '', prefix = ''] = process.argv.slice(2);
const fail = (error: Error): void => {
  process.stderr.write(`${error.message}\n`);
};
const consumer = createConsumer({
  queue: jobsQueue,
  redis: connectRedis({ url, role: 'worker', name: 'doomed', onError: fail }),
  names: keyNames(prefix),
  concurrency: 1,
  payload: jobWakeSchema,
  handle: (wake) => {
    process.stdout.write(`took ${wake.jobId}\n`);
    return new Promise(() => undefined);
  },
  onFailure: fail,
  onError: fail,
});
await consumer.start();
