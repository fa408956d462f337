import type { Json, LaneChoice, Priority } from '@millrace/contracts';
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
  content: { plan: unknown; input: Json | undefined; params: Record<string, Json> };
  metadata: Record<string, string>;
  webhook: { url: string; events: string[] } | null;
  requestId: string;
  traceparent: string | null;
  /** Milliseconds since 1970. */
  deadlineAt: number | null;
  maxCostMicroUsd: number | null;
}

/** `accepted`: committed now. `replayed`: the key was used with the same body. `reused`: with another body. */
export interface AcceptResult {
  outcome: 'accepted' | 'replayed' | 'reused' | 'in_progress';
  jobId: string;
  /** When the ledger committed it, in milliseconds since 1970; null unless it was accepted now. */
  createdAt: number | null;
}

// Opaque JSON travels as a text inside the JSON of the batch: PostgreSQL would refuse a "\u0000" one level higher.

/** How soon the reconciler looks at a new job by itself, should its wake get lost. */
const FIRST_WAKE = "interval '5 seconds'";

const INSERT = `
WITH incoming AS (
  SELECT * FROM json_to_recordset($1) AS j (
    id text, tenant_id text, api_key_id text, idempotency_key text, fingerprint text, type text, priority text,
    lane text, content text, metadata jsonb, webhook text, request_id text, traceparent text, deadline_at float8,
    max_cost_micro_usd bigint)
), inserted AS (
  INSERT INTO jobs (id, tenant_id, api_key_id, idempotency_key, fingerprint, type, priority, lane, content, metadata,
    webhook, request_id, traceparent, deadline_at, max_cost_micro_usd, wake_at)
  SELECT id, tenant_id, api_key_id, idempotency_key, decode(fingerprint, 'base64'), type, priority, lane, content::json,
    metadata, webhook::json, request_id, traceparent, to_timestamp(deadline_at / 1000), max_cost_micro_usd,
    least(now() + ${FIRST_WAKE}, to_timestamp(deadline_at / 1000))
  FROM incoming
  ON CONFLICT (tenant_id, idempotency_key) DO NOTHING
  RETURNING id, created_at
), queued AS (
  INSERT INTO job_events (job_id, sequence, type, data) SELECT id, 1, 'job.queued', '{}' FROM inserted
)
SELECT id, created_at AS "createdAt" FROM inserted`;

const FIND_EXISTING = `
SELECT w.position::int AS position, j.id, j.fingerprint
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (tenant_id, idempotency_key, position)
JOIN jobs j USING (tenant_id, idempotency_key)`;

/**
 * Commits jobs with their first event in one statement and decides idempotency in it: of all requests with one tenant
 * and key, in this batch or any other, exactly one is inserted. The result has one entry per job, in order; `jobId` is
 * the job that the key stands for. Throws LedgerUnavailable when nothing is known to be committed.
 */
export async function acceptJobs(database: Database, jobs: readonly NewJob[]): Promise<AcceptResult[]> {
  const rows = await database.query<{ id: string; createdAt: number }>(INSERT, [
    JSON.stringify(jobs.map(toRow)),
  ]);
  const inserted = new Map(rows.map((row) => [row.id, row.createdAt]));
  const doubles = jobs.filter((job) => !inserted.has(job.id));
  const existing = doubles.length === 0 ? new Map<NewJob, Existing>() : await findExisting(database, doubles);
  return jobs.map((job) => {
    const createdAt = inserted.get(job.id);
    if (createdAt !== undefined) return { outcome: 'accepted', jobId: job.id, createdAt };
    const found = existing.get(job);
    // The other transaction was rolled back or its job pruned between our two statements: the client tries again.
    if (!found) return { outcome: 'in_progress', jobId: job.id, createdAt: null };
    const same = Buffer.compare(found.fingerprint, job.fingerprint) === 0;
    return { outcome: same ? 'replayed' : 'reused', jobId: found.id, createdAt: null };
  });
}

interface Existing {
  id: string;
  fingerprint: Uint8Array;
}

async function findExisting(database: Queryable, jobs: readonly NewJob[]): Promise<Map<NewJob, Existing>> {
  const rows = await database.query<Existing & { position: number }>(FIND_EXISTING, [
    jobs.map((job) => job.tenantId),
    jobs.map((job) => job.idempotencyKey),
  ]);
  const found = new Map<NewJob, Existing>();
  for (const row of rows) {
    const job = jobs[row.position - 1];
    if (job) found.set(job, row);
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
    content: JSON.stringify(job.content),
    metadata: job.metadata,
    webhook: job.webhook === null ? null : JSON.stringify(job.webhook),
    request_id: job.requestId,
    traceparent: job.traceparent,
    deadline_at: job.deadlineAt,
    max_cost_micro_usd: job.maxCostMicroUsd,
  };
}
