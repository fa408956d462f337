import type { Json, LaneChoice, LatePolicy, Priority } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import { LedgerUnavailable, LOCK_NOT_AVAILABLE, sqlState } from '../database.ts';
import type { Database, Queryable } from '../database.ts';

/** A job that passed every check of the intake and waits to be committed. */
export interface NewJob {
  id: string;
  tenantId: string;
  apiKeyId: string;
  /** Null only where the deployment does not ask for one. */
  idempotencyKey: string | null;
  /** SHA-256 of method, path and canonical body. */
  fingerprint: Uint8Array;
  type: string;
  priority: Priority;
  lane: LaneChoice;
  /** Absent: `best_effort`. */
  onLate?: LatePolicy;
  content: { plan: unknown; input: Json | undefined; params: Record<string, Json> };
  metadata: Record<string, string>;
  webhook: { url: string; events: string[] } | null;
  requestId: string;
  traceparent: string | null;
  /** Milliseconds since 1970. */
  deadlineAt: number | null;
  maxCostMicroUsd: number | null;
}

/**
 * `accepted`: committed now. `replayed`: the key was used with the same body. `reused`: with another body. `in_progress`:
 * another request with the key is being committed, or could not be looked at; nothing was written, the client tries again.
 */
export interface AcceptResult {
  outcome: 'accepted' | 'replayed' | 'reused' | 'in_progress';
  jobId: string;
  /** When the ledger committed it, in milliseconds since 1970; null unless it was accepted now. */
  createdAt: number | null;
}

// Opaque JSON travels as a text inside the JSON of the batch: PostgreSQL would refuse a "\u0000" one level higher.

/** How soon the reconciler looks at a new job by itself, should its wake get lost. */
const FIRST_WAKE = "interval '5 seconds'";

/** How long a batch waits for a key that another transaction has inserted and not committed. */
const PATIENCE = "'400ms'";

const insertFor = (going: { with: string; from: string }): string => `
WITH patience AS (
  SELECT set_config('lock_timeout', ${PATIENCE}, true)
)${going.with}, incoming AS (
  SELECT j.* FROM patience${going.from}, json_to_recordset($1) AS j (
    id text, tenant_id text, api_key_id text, idempotency_key text, fingerprint text, type text, priority text,
    lane text, on_late text, content text, metadata jsonb, webhook text, request_id text, traceparent text, deadline_at float8,
    max_cost_micro_usd bigint)
), inserted AS (
  INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, priority, lane, on_late, content, metadata,
    webhook, request_id, traceparent, deadline_at, max_cost_micro_usd, wake_at)
  SELECT id, tenant_id, api_key_id, idempotency_key, decode(fingerprint, 'base64'), type, priority, lane, on_late, content::json,
    metadata, webhook::json, request_id, traceparent, to_timestamp(deadline_at / 1000), max_cost_micro_usd,
    least(now() + ${FIRST_WAKE}, to_timestamp(deadline_at / 1000))
  FROM incoming
  ON CONFLICT DO NOTHING
  RETURNING id, created_at
), queued AS (
  INSERT INTO job_events (job_id, sequence, type, data) SELECT id, 1, 'job.queued', '{}' FROM inserted
)
SELECT id, created_at AS "createdAt" FROM inserted`;

const INSERT = insertFor({ with: '', from: '' });

/** Nothing for a batch that goes on no more. Its row stays locked to the end, so that whoever ends it finds these jobs. */
const INSERT_OF_BATCH = insertFor({
  with: `, going AS MATERIALIZED (
  SELECT b.id FROM patience, client_batches b WHERE b.id = $2 AND b.status = 'in_progress' AND b.errors IS NULL FOR SHARE OF b
)`,
  from: ', going',
});

const FIND_EXISTING = `
SELECT w.position::int AS position, j.id, j.fingerprint, j.created_at AS "createdAt"
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS w (tenant_id, idempotency_key, id, position)
JOIN jobs j ON j.tenant_id = w.tenant_id AND (j.idempotency_key = w.idempotency_key OR j.id = w.id)`;

/**
 * Commits jobs with their first event in one statement and decides idempotency in it: of all requests with one tenant
 * and key, in this batch or any other, exactly one is inserted. The result has one entry per job, in order; `jobId` is
 * the job that the key stands for. The same job may be given again: if it was committed, it answers `accepted` again.
 * With `batchId` the jobs are lines of that client's batch: they are committed only while it goes on; one that was not answers
 * `in_progress` then. Throws LedgerUnavailable when nothing is known to be committed.
 */
export async function acceptJobs(
  database: Database,
  jobs: readonly NewJob[],
  batchId: string | null = null,
): Promise<AcceptResult[]> {
  if (hasDefect('enqueue-without-ledger')) {
    return jobs.map((job) => ({ outcome: 'accepted', jobId: job.id, createdAt: Date.now() }));
  }
  const inserted = await insert(database, jobs, batchId);
  if (inserted === null) {
    if (jobs.length === 1) return jobs.map(inProgress);
    return (await Promise.all(jobs.map((job) => acceptJobs(database, [job], batchId)))).flat();
  }
  const existing = await findExisting(
    database,
    jobs.filter((job) => !inserted.has(job.id)),
  );
  return jobs.map((job) => {
    const createdAt = inserted.get(job.id);
    if (createdAt !== undefined) return { outcome: 'accepted', jobId: job.id, createdAt };
    const found = existing.get(job);
    // Its job was pruned between our two statements, or the second one failed, or its batch has ended.
    if (!found) return inProgress(job);
    if (found.id === job.id) return { outcome: 'accepted', jobId: job.id, createdAt: found.createdAt };
    const same = Buffer.compare(found.fingerprint, job.fingerprint) === 0;
    return { outcome: same ? 'replayed' : 'reused', jobId: found.id, createdAt: null };
  });
}

/** When each inserted job was committed, by id; null when nothing was inserted because one of the keys is held for long. */
async function insert(
  database: Queryable,
  jobs: readonly NewJob[],
  batchId: string | null,
): Promise<Map<string, number> | null> {
  // In the order of the keys, so that two batches with the same keys never wait for each other in a circle.
  const rows = jobs.toSorted(compareKeys).map(toRow);
  try {
    const inserted = await database.query<{ id: string; createdAt: number }>(
      batchId === null ? INSERT : INSERT_OF_BATCH,
      batchId === null ? [JSON.stringify(rows)] : [JSON.stringify(rows), batchId],
    );
    return new Map(inserted.map((row) => [row.id, row.createdAt]));
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return null;
    throw error;
  }
}

function compareKeys(a: NewJob, b: NewJob): number {
  return compare(a.tenantId, b.tenantId) || compare(a.idempotencyKey ?? '', b.idempotencyKey ?? '');
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function inProgress(job: NewJob): AcceptResult {
  return { outcome: 'in_progress', jobId: job.id, createdAt: null };
}

interface Existing {
  id: string;
  fingerprint: Uint8Array;
  createdAt: number;
}

async function findExisting(database: Queryable, jobs: readonly NewJob[]): Promise<Map<NewJob, Existing>> {
  const found = new Map<NewJob, Existing>();
  if (jobs.length === 0) return found;
  try {
    const rows = await database.query<Existing & { position: number }>(FIND_EXISTING, [
      jobs.map((job) => job.tenantId),
      jobs.map((job) => job.idempotencyKey),
      jobs.map((job) => job.id),
    ]);
    for (const row of rows) {
      const job = jobs[row.position - 1];
      if (job) found.set(job, row);
    }
  } catch (error) {
    // The other jobs of the batch are committed: their clients must not hear that nothing was accepted.
    if (!(error instanceof LedgerUnavailable)) throw error;
  }
  return found;
}

function toRow(job: NewJob) {
  return {
    id: job.id,
    tenant_id: job.tenantId,
    api_key_id: job.apiKeyId,
    idempotency_key: job.idempotencyKey,
    fingerprint: Buffer.from(job.fingerprint).toString('base64'),
    type: job.type,
    priority: job.priority,
    lane: job.lane,
    on_late: job.onLate ?? 'best_effort',
    content: JSON.stringify(job.content),
    metadata: job.metadata,
    webhook: job.webhook === null ? null : JSON.stringify(job.webhook),
    request_id: job.requestId,
    traceparent: job.traceparent,
    deadline_at: job.deadlineAt,
    max_cost_micro_usd: job.maxCostMicroUsd,
  };
}
