/**
 * P7: what a long queue costs. The rate at which one worker ends jobs of one call while few and while many jobs wait, and
 * what a waiting job takes in Redis. The backlog is copied in the ledger from one accepted job and put on the queue by the
 * transport, while the worker stands still. The goal is about a million: `--jobs 1000000`, which takes some minutes.
 *
 *     npm run bench -- growth [--jobs 50000]
 */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createProducer } from '@millrace/transport';
import pg from 'pg';
import { headersOf, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';

const FEW = 5_000;
/** With the second and a half before it less than a fast worker needs for the few. */
const MEASURED_MS = 6_000;
const { values } = parseArgs({ options: { jobs: { type: 'string', default: '50000' } } });
const many = Number(values.jobs);

/** The copies are due in ten minutes only, so that the reconciler does not wake them a second time. */
const ID = `'job_' || $3::text || lpad(n::text, 25, '0')`;
const COPY_JOBS = `
INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, priority, lane, content, request_id, wake_at)
SELECT ${ID}, tenant_id, api_key_id, $3 || n, fingerprint, type, priority, lane, content, request_id, now() + interval '10 minutes'
FROM jobs, generate_series(1, $2::int) n WHERE id = $1`;
const COPY_EVENTS = `
INSERT INTO job_events (job_id, sequence, type, data) SELECT ${ID}, 1, type, data
FROM job_events, generate_series(1, $2::int) n WHERE job_id = $1 AND sequence = 1`;

await withStack(
  { workers: 1, simulator: { latencyMs: 0 }, environment: { MILLRACE_WORKER_CONCURRENCY: '64' } },
  async (stack) => {
    const onError = (error: unknown): void => console.error(error);
    const database = new pg.Client({ connectionString: stack.databaseUrl });
    database.on('error', onError);
    await database.connect();
    const redis = connectRedis({ url: stack.redisUrl, role: 'producer', name: 'bench', onError });
    const producer = createProducer({ redis, names: keyNames('mr'), pools: [], onError });
    const worker = stack.processes.find(({ name }) => name.startsWith('worker'));
    if (!worker) throw new Error('there is no worker');
    const ended = async (): Promise<number> => {
      const { rows } = await database.query<{ ended: number }>(
        'SELECT count(*)::int AS ended FROM jobs WHERE finished_at IS NOT NULL',
      );
      return rows[0]?.ended ?? 0;
    };
    const memory = async (): Promise<number> =>
      Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1] ?? 0);

    const template = await submit(stack.apiUrl, headersOf(stack));
    const fill = async (count: number, batch: string): Promise<void> => {
      worker.signal('SIGSTOP');
      await database.query(COPY_JOBS, [template, count, batch]);
      await database.query(COPY_EVENTS, [template, count, batch]);
      await database.query('ANALYZE jobs');
      for (let from = 1; from <= count; from += 2_000) {
        const ids = Array.from({ length: Math.min(2_000, count - from + 1) }, (_, index) =>
          idOf(batch, from + index),
        );
        await producer.enqueueJobs(ids.map((jobId) => ({ jobId, priority: 'standard' })));
      }
    };
    const rate = async (): Promise<number> => {
      worker.signal('SIGCONT');
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      // A count says how things were when it began, however long it takes among a million.
      const startedAt = performance.now();
      const before = await ended();
      await new Promise((resolve) => setTimeout(resolve, MEASURED_MS));
      const endedAt = performance.now();
      return ((await ended()) - before) / ((endedAt - startedAt) / 1_000);
    };

    await fill(FEW, 'a');
    const withFew = await rate();
    await drained(ended, FEW);
    const before = await memory();
    await fill(many, 'b');
    const perJob = ((await memory()) - before) / many;
    const withMany = await rate();
    console.log(`${withFew.toFixed(0)} jobs/s with ${FEW} waiting, ${withMany.toFixed(0)} with ${many}`);
    const ratio = withMany / withFew;
    reportFigures([
      {
        what: `P7 Redis memory of a waiting job, ${many.toLocaleString('en')} waiting`,
        goal: '≤ 1,000 bytes',
        figure: `${perJob.toFixed(0)} bytes`,
        reached: perJob <= 1_000,
      },
      {
        what: `P7 jobs/s with ${many.toLocaleString('en')} waiting ÷ with ${FEW.toLocaleString('en')}`,
        goal: '≥ 0.8',
        figure: `${ratio.toFixed(2)} (${Math.round(withMany).toLocaleString('en')}/s)`,
        reached: ratio >= 0.8,
      },
    ]);
    await database.end();
    await producer.close();
    await closeRedis(redis);
  },
);

function idOf(batch: string, number: number): string {
  return `job_${batch}${String(number).padStart(25, '0')}`;
}

async function submit(apiUrl: string, headers: Record<string, string>): Promise<string> {
  const response = await fetch(`${apiUrl}/v1/jobs`, {
    method: 'POST',
    headers: { ...headers, 'idempotency-key': randomUUID(), prefer: 'wait=10' },
    body: JSON.stringify({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: 'Say something. [[sim:reply=something]]',
      max_output_tokens: 50,
    }),
  });
  return ((await response.json()) as { id: string }).id;
}

async function drained(ended: () => Promise<number>, count: number): Promise<void> {
  while ((await ended()) < count) await new Promise((resolve) => setTimeout(resolve, 200));
}
