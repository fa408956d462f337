import { openDatabase } from '../database.ts';
import { acceptJobs } from '../jobs/accept-jobs.ts';
import { newJob } from './new-job.ts';
import { testOptions } from './test-options.ts';

/** A process of its own that accepts the same key many times in parallel and prints the outcomes as one line of JSON. */
const [url = '', idempotencyKey = '', times = '0'] = process.argv.slice(2);
const database = openDatabase(testOptions(url, { maxConnections: 5 }));
const answers = await Promise.all(
  Array.from({ length: Number(times) }, () => acceptJobs(database, [newJob({ idempotencyKey })])),
);
await database.close();
process.stdout.write(`${JSON.stringify(answers.flat())}\n`);
