import { createId } from '@millrace/contracts';
import type { Charge, LifecycleEventType } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database, Queryable } from '../database.ts';
import { insertDeliveries } from '../webhooks/insert-deliveries.ts';
import { insertUsage } from './insert-usage.ts';
import { isCostKnown, releaseRefused } from './release-refused.ts';
import type { RecordResult, StepOutcome } from './step-outcome.ts';

const LOCK_JOBS = `
SELECT id, tenant_id, (SELECT t.tier FROM tenants t WHERE t.id = jobs.tenant_id) AS tier, webhook
FROM jobs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`;

/** In the same order as the heartbeats lock them, so that the two never wait for each other in a circle. */
const LOCK_STEPS = `
SELECT s.key FROM steps s JOIN unnest($1::text[], $2::text[]) AS o (job_id, key) USING (job_id, key)
ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s`;

const RECORD_STEPS = `
WITH outcome AS (
  SELECT * FROM json_to_recordset($1) AS j (
    position int, job_id text, key text, fence int, status text, output text, error text, delay_ms float8, target text,
    pool text, repair text, gave_up boolean, counts_attempt boolean, is_repair boolean, ambiguous boolean, cost_known boolean,
    degraded text, mean_logprob float8)
), before AS (
  SELECT s.job_id, s.key, s.pool, s.lane, s.reserved_micro_usd FROM steps s WHERE (s.job_id, s.key) IN (SELECT job_id, key FROM outcome)
), ranked AS (
  SELECT o.*, j.last_ordinal + row_number() OVER (
    PARTITION BY o.job_id, o.status IN ('completed', 'failed') ORDER BY o.position) AS next_ordinal
  FROM outcome o JOIN jobs j ON j.id = o.job_id
), written AS (
  UPDATE steps s SET
    status = r.status, output = r.output::json, error = coalesce(r.error::json, CASE WHEN r.status = 'pending' THEN s.error END),
    ordinal = CASE WHEN r.status IN ('completed', 'failed') THEN r.next_ordinal END,
    finished_at = CASE WHEN r.status IN ('completed', 'failed') THEN now() END,
    owner = NULL, reserved_micro_usd = 0, wake_count = 0,
    not_before = CASE WHEN r.status = 'pending' THEN now() + r.delay_ms * interval '1 millisecond' ELSE s.not_before END,
    wake_at = CASE WHEN r.status = 'pending' THEN now() + (r.delay_ms + 10000) * interval '1 millisecond' END,
    spent_targets = CASE WHEN r.gave_up THEN s.spent_targets || s.target ELSE s.spent_targets END,
    target = coalesce(r.target, s.target), pool = coalesce(r.pool, s.pool),
    target_attempts = CASE WHEN r.target IS NOT NULL THEN 0 ELSE s.target_attempts + CASE WHEN r.counts_attempt THEN 1 ELSE 0 END END,
    attempts = s.attempts + CASE WHEN r.counts_attempt THEN 1 ELSE 0 END,
    repairs = s.repairs + CASE WHEN r.is_repair THEN 1 ELSE 0 END,
    repair = CASE WHEN r.status = 'pending' THEN coalesce(r.repair::json, s.repair) END,
    ambiguous = s.ambiguous OR r.ambiguous, ambiguous_calls = s.ambiguous_calls + CASE WHEN r.ambiguous THEN 1 ELSE 0 END,
    deaths = CASE WHEN r.counts_attempt OR r.is_repair THEN 0 ELSE s.deaths END,
    -- What has to be done again is done in realtime: the other lanes have had their chance.
    lane = CASE WHEN r.status = 'pending' AND (s.lane = 'batch' OR s.lane = 'flex' AND (r.counts_attempt OR r.is_repair))
      THEN 'realtime' ELSE s.lane END,
    lane_reason = CASE WHEN r.status = 'pending' AND (s.lane = 'batch' OR s.lane = 'flex' AND (r.counts_attempt OR r.is_repair))
      THEN 'again_after_' || s.lane ELSE s.lane_reason END,
    -- In a batch it waited in no queue.
    class_since = CASE WHEN r.status = 'pending' AND s.lane = 'batch' THEN now() ELSE s.class_since END,
    -- A step that moves on is as degraded as the target that it goes to.
    degraded = CASE WHEN r.target IS NOT NULL THEN r.degraded ELSE coalesce(r.degraded, s.degraded) END,
    mean_logprob = r.mean_logprob,
    batch_id = CASE WHEN r.status = 'pending' THEN NULL ELSE s.batch_id END,
    escape_at = CASE WHEN r.status = 'pending' THEN NULL ELSE s.escape_at END
  FROM ranked r
  WHERE s.job_id = r.job_id AND s.key = r.key AND s.fence = r.fence AND s.status IN ('claimed', 'sent')
  RETURNING s.job_id, s.key, s.status, s.barrier, s.pool, s.fence, s.estimated_tokens, s.ordinal, r.position, r.ambiguous, r.cost_known, s.degraded
), ended AS (
  SELECT job_id, count(*) FILTER (WHERE status IN ('completed', 'failed'))::int AS endings,
    count(*) FILTER (WHERE status = 'completed')::int AS done,
    bool_or(status = 'held') AS holds, bool_or(status = 'completed' AND degraded IS NOT NULL) AS degraded, max(ordinal) AS last_ordinal, count(*) FILTER (WHERE ambiguous)::int AS ambiguous_calls,
    bool_or(status = 'failed' OR status = 'completed' AND (barrier IS NULL OR NOT EXISTS (
      SELECT FROM steps o WHERE o.job_id = w.job_id AND o.barrier = w.barrier
        AND o.status IN ('pending', 'collected', 'claimed', 'sent', 'held')
        AND NOT EXISTS (SELECT FROM written x WHERE x.job_id = o.job_id AND x.key = o.key AND x.status IN ('completed', 'failed'))
    ))) AS urgent
  FROM written w GROUP BY job_id
), released AS (
  SELECT b.job_id, sum(CASE WHEN w.cost_known THEN b.reserved_micro_usd ELSE 0 END) AS reserved
  FROM before b JOIN written w ON w.job_id = b.job_id AND w.key = b.key GROUP BY b.job_id
), counted AS (
  UPDATE jobs SET
    last_ordinal = greatest(jobs.last_ordinal, e.last_ordinal), steps_done = steps_done + e.done, steps_open = steps_open - e.endings,
    ambiguous_calls = jobs.ambiguous_calls + e.ambiguous_calls, degraded = jobs.degraded OR e.degraded,
    reserved_micro_usd = greatest(jobs.reserved_micro_usd - l.reserved, 0),
    status = CASE WHEN e.holds AND jobs.finished_at IS NULL THEN 'requires_action' ELSE jobs.status END,
    wake_at = CASE WHEN jobs.finished_at IS NULL AND e.endings > 0 AND (e.urgent OR steps_open - e.endings <= 0)
      THEN least(now() + interval '5 seconds', deadline_at) ELSE jobs.wake_at END,
    progress_at = CASE WHEN e.done > 0
        AND (progress_at IS NULL OR progress_at < now() - interval '1 second' OR jobs.steps_open - e.endings <= 0)
      THEN now() ELSE progress_at END
  FROM ended e JOIN released l ON l.job_id = e.job_id WHERE jobs.id = e.job_id
  RETURNING jobs.id, jobs.steps_open, jobs.steps_done, jobs.steps_known, jobs.progress_at = now() AS progressed, e.urgent,
    e.endings, e.holds, jobs.finished_at IS NOT NULL AS over
)
SELECT w.position, w.job_id, w.pool, w.pool <> b.pool OR b.lane = 'batch' AS moved, w.estimated_tokens, w.fence, w.status, c.progressed, c.steps_done, c.steps_known, c.holds,
  c.endings > 0 AND NOT c.over AND (c.urgent OR c.steps_open <= 0) AS may_advance
FROM written w JOIN counted c ON c.id = w.job_id JOIN before b ON b.job_id = w.job_id AND b.key = w.key`;

const END_ATTEMPTS = `
UPDATE attempts a SET finished_at = now(), first_token_at = to_timestamp(e.first_token_at / 1000),
  provider_request_id = e.provider_request_id, http_status = e.http_status, error_code = e.error_code,
  -- Once the content of a job is erased, no late report brings any back.
  error_message = CASE WHEN EXISTS (SELECT FROM jobs j WHERE j.id = e.job_id AND j.erased_at IS NULL) THEN e.error_message END,
  -- A worker that finds out by its heartbeat knows only that it lost the step, not that the step was cancelled.
  status = CASE WHEN e.status = 'interrupted' AND EXISTS (
    SELECT FROM steps s WHERE s.job_id = e.job_id AND s.key = e.key AND s.status = 'cancelled'
  ) THEN 'cancelled' ELSE e.status END
FROM json_to_recordset($1) AS e (
  job_id text, key text, number int, status text, first_token_at float8, provider_request_id text, http_status int,
  error_code text, error_message text)
WHERE a.job_id = e.job_id AND a.step_key = e.key AND a.number = e.number AND a.status IN ('sent', 'ambiguous')`;

/** A claim that ends without an attempt has sent nothing, even if its `markSent` was committed and never heard of. */
const CLOSE_UNSENT = `
UPDATE attempts a SET status = 'interrupted', finished_at = now(), error_code = 'ledger_unavailable',
  error_message = 'The call was not sent.'
FROM unnest($1::text[], $2::text[], $3::int[]) AS o (job_id, key, fence)
WHERE a.job_id = o.job_id AND a.step_key = o.key AND a.fence = o.fence AND a.status = 'sent'`;

/**
 * Records what became of claimed steps, in one transaction: the step's next state, the attempt, the usage, the job's
 * totals, the events. An outcome with an old fence changes no step (its usage is booked all the same). Results are in
 * the order of the list.
 */
export async function recordOutcomes(
  database: Database,
  outcomes: readonly StepOutcome[],
): Promise<RecordResult[]> {
  return database.transaction(async (transaction) => {
    const jobs = await transaction.query<LockedJob>(LOCK_JOBS, [
      [...new Set(outcomes.map((outcome) => outcome.jobId))],
    ]);
    await transaction.query(LOCK_STEPS, [
      outcomes.map((each) => each.jobId),
      outcomes.map((each) => each.key),
    ]);
    const written = await transaction.query<WrittenRow>(recordSteps(), [JSON.stringify(outcomes.map(toRow))]);
    const rows = new Map(written.map((row) => [row.position, row]));
    await releaseRefused(
      transaction,
      outcomes.filter((_, position) => !rows.has(position)),
    );
    await endAttempts(transaction, outcomes);
    await insertUsage(transaction, outcomes, new Map(jobs.map((job) => [job.id, job.tenant_id])));
    const events = await appendEvents(transaction, toEvents(outcomes, rows));
    const deliveries = await insertHoldDeliveries(transaction, outcomes, rows, jobs);
    return outcomes.map((outcome, position) => {
      const row = rows.get(position);
      return {
        accepted: row !== undefined,
        mayAdvance: row?.may_advance ?? false,
        events: events.filter((event) => event.jobId === outcome.jobId && isAbout(event, outcome)),
        deliveryIds: deliveries.get(position) ?? [],
        pending:
          row?.status === 'pending'
            ? { pool: row.pool, fence: row.fence, charge: chargeFor(row, jobs) }
            : null,
      };
    });
  });
}

/** Nothing for a step that stays in its pool's queue: it has paid for its place there. */
function chargeFor(row: WrittenRow, jobs: readonly LockedJob[]): Charge | null {
  const job = jobs.find(({ id }) => id === row.job_id);
  if (!job || !row.moved) return null;
  return { tenantId: job.tenant_id, tier: job.tier, tokens: row.estimated_tokens, aged: false };
}

/** The statement as it is; the chaos programme may take a defence out of it. */
function recordSteps(): string {
  if (hasDefect('skip-fence')) return RECORD_STEPS.replace('AND s.fence = r.fence', '');
  if (hasDefect('leak-reservation')) return RECORD_STEPS.replace('- l.reserved', '- 0 * l.reserved');
  return RECORD_STEPS;
}

interface LockedJob {
  id: string;
  tenant_id: string;
  tier: string;
  webhook: unknown;
}

interface WrittenRow {
  position: number;
  job_id: string;
  pool: string;
  moved: boolean;
  estimated_tokens: number;
  fence: number;
  status: string;
  progressed: boolean | null;
  steps_done: number;
  steps_known: number;
  holds: boolean;
  may_advance: boolean;
}

function toRow(outcome: StepOutcome, position: number) {
  const { next } = outcome;
  const base = {
    position,
    job_id: outcome.jobId,
    key: outcome.key,
    fence: outcome.fence,
    status: next.status,
    ambiguous: outcome.attempt?.ambiguous ?? false,
    cost_known: isCostKnown(outcome),
  };
  if (next.status === 'completed') {
    const { degraded, meanLogprob } = next;
    return { ...base, output: JSON.stringify(next.output), degraded, mean_logprob: meanLogprob };
  }
  if (next.status !== 'pending') return { ...base, error: JSON.stringify(next.error) };
  return {
    ...base,
    delay_ms: next.delayMs,
    target: next.move?.target,
    pool: next.move?.pool,
    gave_up: next.move?.gaveUp,
    degraded: next.move?.degraded,
    repair: next.repair === null ? undefined : JSON.stringify(next.repair),
    counts_attempt: next.countsAttempt,
    is_repair: next.repair !== null,
  };
}

async function endAttempts(transaction: Queryable, outcomes: readonly StepOutcome[]): Promise<void> {
  const ends = outcomes.flatMap(({ jobId, key, attempt }) =>
    attempt === null
      ? []
      : [
          {
            job_id: jobId,
            key,
            number: attempt.number,
            status: attempt.status,
            first_token_at: attempt.firstTokenAt,
            provider_request_id: attempt.providerRequestId,
            http_status: attempt.httpStatus,
            error_code: attempt.error?.code,
            error_message: attempt.error?.message,
          },
        ],
  );
  if (ends.length > 0) await transaction.query(END_ATTEMPTS, [JSON.stringify(ends)]);
  const unsent = outcomes.filter((outcome) => outcome.attempt === null);
  if (unsent.length === 0) return;
  await transaction.query(CLOSE_UNSENT, [
    unsent.map((outcome) => outcome.jobId),
    unsent.map((outcome) => outcome.key),
    unsent.map((outcome) => outcome.fence),
  ]);
}

function toEvents(outcomes: readonly StepOutcome[], rows: ReadonlyMap<number, WrittenRow>) {
  const progressed = new Set<string>();
  return outcomes.flatMap((outcome, position) => {
    const row = rows.get(position);
    if (!row) return [];
    const events: { jobId: string; type: LifecycleEventType; data: Record<string, unknown> }[] = [];
    const add = (type: LifecycleEventType, data: Record<string, unknown>) => {
      events.push({ jobId: outcome.jobId, type, data: { step: outcome.key, ...data } });
    };
    if (outcome.next.status === 'completed') add('step.completed', {});
    if (outcome.next.status === 'failed') add('step.failed', { error: outcome.next.error });
    if (outcome.next.status === 'held') add('job.requires_action', { error: outcome.next.error });
    if (outcome.retried) add('step.retried', outcome.retried);
    if (row.progressed && !progressed.has(outcome.jobId)) {
      progressed.add(outcome.jobId);
      const data = { steps_done: row.steps_done, steps_known: row.steps_known };
      events.push({ jobId: outcome.jobId, type: 'job.progress', data });
    }
    return events;
  });
}

/** A job that begins to wait for a decision tells its webhooks, once per step that is held. */
async function insertHoldDeliveries(
  transaction: Queryable,
  outcomes: readonly StepOutcome[],
  rows: ReadonlyMap<number, WrittenRow>,
  jobs: readonly LockedJob[],
): Promise<Map<number, string[]>> {
  const held = outcomes.flatMap((outcome, position) => {
    const job = jobs.find((each) => each.id === outcome.jobId);
    return outcome.next.status === 'held' && rows.has(position) && job ? [{ position, job }] : [];
  });
  const deliveries = await insertDeliveries(
    transaction,
    held.map(({ job }) => ({
      tenantId: job.tenant_id,
      jobId: job.id,
      webhook: job.webhook,
      eventId: createId('event'),
      eventType: 'job.requires_action',
    })),
  );
  return new Map(held.map(({ position }, index) => [position, deliveries[index] ?? []]));
}

function isAbout(event: StoredEvent, outcome: StepOutcome): boolean {
  return event.type === 'job.progress' || event.data['step'] === outcome.key;
}
