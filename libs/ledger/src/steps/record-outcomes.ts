import { createId } from '@millrace/contracts';
import type { Charge, LifecycleEventType } from '@millrace/contracts';
import { appendEvents } from '../jobs/append-events.ts';
import type { StoredEvent } from '../jobs/append-events.ts';
import type { Database, Queryable } from '../database.ts';
import { insertDeliveries } from '../webhooks/insert-deliveries.ts';
import { endAttempts } from './end-attempts.ts';
import { insertUsage } from './insert-usage.ts';
import { releaseRefused } from './release-refused.ts';
import type { RecordResult, StepOutcome } from './step-outcome.ts';
import { writeOutcomes } from './write-outcomes.ts';
import type { WrittenOutcome } from './write-outcomes.ts';

const LOCK_JOBS = `
SELECT id, tenant_id, (SELECT t.tier FROM tenants t WHERE t.id = jobs.tenant_id) AS tier, webhook
FROM jobs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE`;

/** In the same order as the heartbeats lock them, so that the two never wait for each other in a circle. */
const LOCK_STEPS = `
SELECT s.key FROM steps s JOIN unnest($1::text[], $2::text[]) AS o (job_id, key) USING (job_id, key)
ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s`;

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
    const written = await writeOutcomes(transaction, outcomes);
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
function chargeFor(row: WrittenOutcome, jobs: readonly LockedJob[]): Charge | null {
  const job = jobs.find(({ id }) => id === row.job_id);
  if (!job || !row.moved) return null;
  return { tenantId: job.tenant_id, tier: job.tier, tokens: row.estimated_tokens, aged: false };
}

interface LockedJob {
  id: string;
  tenant_id: string;
  tier: string;
  webhook: unknown;
}

function toEvents(outcomes: readonly StepOutcome[], rows: ReadonlyMap<number, WrittenOutcome>) {
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
      const { steps_done, steps_known, steps_answered } = row;
      const data = { steps_done, steps_known, steps_answered };
      events.push({ jobId: outcome.jobId, type: 'job.progress', data });
    }
    return events;
  });
}

/** A job that begins to wait for a decision tells its webhooks, once per step that is held. */
async function insertHoldDeliveries(
  transaction: Queryable,
  outcomes: readonly StepOutcome[],
  rows: ReadonlyMap<number, WrittenOutcome>,
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
