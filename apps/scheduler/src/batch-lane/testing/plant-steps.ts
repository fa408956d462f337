import type { Database } from '@millrace/ledger';

/** What is planted: jobs that wait for their steps, `lines` of these in all, numbered from 0. */
export interface Plantation {
  jobs: number;
  lines: number;
  target: string;
  pool: string;
  /** SQL of the prompt of line `n`. */
  prompt: string;
  /** The batch that holds them as its lines, and runs at the vendor under this id; absent: they are collected. */
  batch?: { id: string; providerBatchId: string; model: string };
}

/** Fills a ledger with tens of thousands of steps in seconds, as the batch lane would have them. */
export async function plantSteps(database: Database, wanted: Plantation): Promise<void> {
  const { jobs, lines, target, pool, prompt, batch } = wanted;
  const values = [jobs, lines, target, pool, batch?.id, batch?.model, batch?.providerBatchId];
  const statements = [JOBS, EVENTS, stepsWith(prompt), ...(batch ? [ATTEMPTS, BATCH] : [])];
  await database.transaction(async (transaction) => {
    await transaction.query('SET LOCAL synchronous_commit = off');
    for (const statement of statements) await transaction.query(statement, values);
  });
  for (const table of ['jobs', 'steps', 'attempts']) await database.query(`VACUUM ANALYZE ${table}`);
}

/** All values in every statement, each with its name. */
const GIVEN = `
WITH given AS (
  SELECT $1::int AS jobs, $2::int AS lines, $3::text AS target, $4::text AS pool, $5::text AS batch, $6::text AS model, $7::text AS vendor_id
)`;
const LINES = 'given, generate_series(0, given.lines - 1) n';
const JOB_ID = `'job_' || lpad((n % given.jobs)::text, 26, '0')`;
const STEP_KEY = `'map[' || n / given.jobs || ']'`;
/** 1 where the steps are in a batch. */
const BOUND = '(given.batch IS NOT NULL)::int';

const JOBS = `${GIVEN}
INSERT INTO jobs (id, tenant_id, api_key_id, fingerprint, type, status, priority, lane, content, request_id, started_at,
  steps_known, steps_open, calls, placed_in_batch)
SELECT ${JOB_ID}, 'acme', 'key', sha256('x'), 'map_reduce', 'in_progress', 'standard', 'batch', '{"plan":{"type":"call"}}', 'r', now(),
  count(*), count(*), count(*) * min(${BOUND}), true
FROM ${LINES} GROUP BY 1`;

const EVENTS = `${GIVEN}
INSERT INTO job_events (job_id, sequence, type, data)
SELECT ${JOB_ID}, 1, 'job.queued', '{}' FROM given, generate_series(0, given.jobs - 1) n`;

const stepsWith = (prompt: string) => `${GIVEN}
INSERT INTO steps (job_id, key, status, lane, lane_reason, barrier, priority, target, pool, shape, request, fence, owner, batch_id,
  batch_tries, calls, started_at)
SELECT ${JOB_ID}, ${STEP_KEY}, CASE WHEN given.batch IS NULL THEN 'collected' ELSE 'sent' END, 'batch', 'asked_for', 'all',
  'standard', given.target, given.pool, 'a shape',
  json_build_object('kind', 'call', 'route', null, 'model', given.target, 'system', null, 'messages',
    json_build_array(json_build_object('role', 'user', 'content', ${prompt})), 'output', null, 'maxOutputTokens', 20000, 'stream', false),
  ${BOUND}, given.batch, given.batch, ${BOUND}, ${BOUND}, CASE WHEN given.batch IS NOT NULL THEN now() END
FROM ${LINES}`;

const ATTEMPTS = `${GIVEN}
INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner, batch_id, batch_line)
SELECT ${JOB_ID}, ${STEP_KEY}, 1, 1, given.target, 'answer', 'sent', given.batch, given.batch, n FROM ${LINES}`;

const BATCH = `${GIVEN}
INSERT INTO provider_batches (id, provider, model, target, status, phase, provider_batch_id, line_count, bytes, fence, submitted_at)
SELECT batch, split_part(target, '/', 1), model, target, 'running', 'in_progress', vendor_id, lines, lines::bigint * 300, 1, now()
FROM given`;
