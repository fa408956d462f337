import type { Database } from '../database.ts';

/**
 * A ledger that has been in use: `jobs` jobs of 50 tenants (half of them one tenant's), five steps each. Nine in ten have
 * ended; of the rest half are queued and half wait for two open steps, one of them held by a worker. Foreign keys are not
 * checked while it is filled, and statistics are as after a night.
 */
export async function fillLedger(database: Database, jobs: number): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query('SET LOCAL session_replication_role = replica');
    await transaction.query('SET LOCAL synchronous_commit = off');
    for (const statement of STATEMENTS) await transaction.query(statement, [jobs]);
  });
  for (const table of ['tenants', 'jobs', 'steps', 'attempts', 'usage', 'job_events', 'webhook_deliveries']) {
    await database.query(`VACUUM ANALYZE ${table}`);
  }
}

/** The id of the n-th job: sortable by creation, as real ids are. */
const ID = `'job_' || lpad(n::text, 26, '0')`;
const ENDED = 'n % 10 <> 0';
const QUEUED = 'n % 20 = 0';

const STATEMENTS = [
  `INSERT INTO tenants (id, webhook_secret) SELECT 'tenant-' || t, '' FROM generate_series(0, 49) t WHERE $1::int > 0`,
  `INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, status, priority, lane, content, metadata,
     request_id, created_at, finished_at, wake_at, steps_known, steps_open, steps_done, last_sequence)
   SELECT ${ID}, 'tenant-' || CASE WHEN n % 2 = 0 THEN 0 ELSE n % 50 END, 'k', 'key ' || n, sha256('x'),
     CASE WHEN n % 7 = 0 THEN 'chain' ELSE 'call' END,
     CASE WHEN ${ENDED} THEN CASE WHEN n % 1000 = 1 THEN 'failed' ELSE 'completed' END WHEN ${QUEUED} THEN 'queued' ELSE 'in_progress' END,
     'standard', 'auto', '{"plan":{"type":"call"}}', jsonb_build_object('user', 'u' || n % 5000), 'r',
     now() - interval '20 days' * (1 - n::float8 / $1), CASE WHEN ${ENDED} THEN now() - interval '19 days' * (1 - n::float8 / $1) END,
     CASE WHEN ${QUEUED} THEN now() + interval '4 minutes' END, CASE WHEN ${QUEUED} THEN 0 ELSE 5 END,
     CASE WHEN ${ENDED} OR ${QUEUED} THEN 0 ELSE 2 END, CASE WHEN ${ENDED} THEN 5 WHEN ${QUEUED} THEN 0 ELSE 3 END, 4
   FROM generate_series(1, $1::int) n`,
  `INSERT INTO steps (job_id, key, status, barrier, priority, target, pool, request, fence, wake_at, ordinal, output, calls, created_at)
   SELECT ${ID}, 's' || k, CASE WHEN ${ENDED} OR k < 3 THEN 'completed' WHEN k = 3 THEN 'pending' ELSE 'sent' END, 'all', 'standard',
     'openai/any', 'openai',
     '{"kind":"call","route":null,"model":"openai/any","system":null,"messages":[{"role":"user","content":"p"}],"output":null,"maxOutputTokens":10,"stream":false}',
     1, CASE WHEN ${ENDED} OR k < 3 THEN NULL ELSE now() + interval '4 minutes' END,
     CASE WHEN ${ENDED} OR k < 3 THEN k + 1 END, '"text"', 1, now() - interval '20 days' * (1 - n::float8 / $1)
   FROM generate_series(1, $1::int) n, generate_series(0, 4) k WHERE NOT (${QUEUED})`,
  `INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner)
   SELECT ${ID}, 's' || k, 1, 1, 'openai/any', 'answer', CASE WHEN ${ENDED} OR k < 3 THEN 'completed' ELSE 'sent' END, 'w'
   FROM generate_series(1, $1::int, 3) n, generate_series(3, 4) k WHERE NOT (${QUEUED})`,
  `INSERT INTO usage (job_id, step_key, attempt, tenant_id, target, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens,
     reasoning_tokens, cost_micro_usd, price_known, estimated)
   SELECT ${ID}, 's3', 1, 'tenant-0', 'openai/any', 1, 0, 0, 1, 0, 1, true, false FROM generate_series(1, $1::int, 2) n`,
  `INSERT INTO job_events (job_id, sequence, type, data)
   SELECT ${ID}, s, 'step.completed', '{}' FROM generate_series(1, $1::int, 2) n, generate_series(1, 4) s`,
  `INSERT INTO webhook_deliveries (id, tenant_id, job_id, event_id, event_type, url, status, wake_at)
   SELECT 'dlv_' || n, 'tenant-0', ${ID}, 'e', 'job.completed', 'u', CASE WHEN n % 100 = 1 THEN 'pending' ELSE 'delivered' END,
     CASE WHEN n % 100 = 1 THEN now() + interval '4 minutes' END
   FROM generate_series(1, $1::int, 3) n WHERE ${ENDED}`,
];
