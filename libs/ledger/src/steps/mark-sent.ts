import { appendEvents } from '../jobs/append-events.ts';
import type { NewEvent, StoredEvent } from '../jobs/append-events.ts';
import type { Database, Queryable } from '../database.ts';
import type { StepReference } from './claim-steps.ts';

/** A call that is about to leave. */
export interface Departure extends StepReference {
  fence: number;
  owner: string;
  target: string;
  purpose: 'answer' | 'repair';
  /** The most the call can cost; booked against the job's cap until the outcome is recorded. */
  worstCaseMicroUsd: number;
  /** An earlier holder had sent the call: watchers are told to drop what they saw of it. */
  lostAnswer: boolean;
}

/**
 * `go`: the attempt with this number is on record, the call may leave. `stale`: another worker has the step or the job
 * has ended. `over_cap`: the call could pass the job's cap; `othersUnderWay` tells whether waiting can help: what a lost
 * call has booked stays, so nobody may wait for that.
 */
export type DepartureResult =
  | { verdict: 'go'; attempt: number; events: StoredEvent[] }
  | { verdict: 'stale' }
  | { verdict: 'over_cap'; othersUnderWay: boolean };

const LOCK_JOBS = `
SELECT id, max_cost_micro_usd, cost_micro_usd, reserved_micro_usd FROM jobs
WHERE id = ANY ($1) AND finished_at IS NULL ORDER BY id FOR NO KEY UPDATE`;

const SEND = `
WITH departing AS (
  SELECT * FROM json_to_recordset($1) AS j (
    "jobId" text, key text, fence int, owner text, target text, purpose text, "worstCaseMicroUsd" bigint)
), held AS (
  SELECT s.job_id, s.key FROM steps s JOIN departing d ON s.job_id = d."jobId" AND s.key = d.key
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s
), sent AS (
  UPDATE steps s SET status = 'sent', calls = s.calls + 1, started_at = coalesce(s.started_at, now()),
    reserved_micro_usd = d."worstCaseMicroUsd", answer_lost = false
  FROM departing d JOIN held h ON h.job_id = d."jobId" AND h.key = d.key
  WHERE s.job_id = d."jobId" AND s.key = d.key AND s.fence = d.fence AND s.status = 'claimed'
  RETURNING s.job_id, s.key, s.fence, s.calls AS number, d.owner, d.target, d.purpose, s.reserved_micro_usd
), booked AS (
  UPDATE jobs SET calls = jobs.calls + each.calls, reserved_micro_usd = jobs.reserved_micro_usd + each.reserved
  FROM (SELECT job_id, count(*)::int AS calls, sum(reserved_micro_usd) AS reserved FROM sent GROUP BY job_id) AS each
  WHERE jobs.id = each.job_id
), logged AS (
  INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner)
  SELECT job_id, key, number, fence, target, purpose, 'sent', owner FROM sent
)
SELECT job_id, key, number, target FROM sent`;

/** Calls whose end gives room: those under way, and those of steps given up so lately that their workers still abort them, lines of batches that steps have left. */
const FIND_UNDER_WAY = `
SELECT j.id FROM unnest($1::text[]) AS j (id) WHERE EXISTS (
  SELECT FROM steps s WHERE s.job_id = j.id AND (s.status = 'sent'
    OR s.status = 'cancelled' AND s.reserved_micro_usd > 0 AND s.finished_at > now() - interval '15 seconds'))
  OR EXISTS (SELECT FROM attempts a WHERE a.job_id = j.id AND a.escaped AND a.status = 'sent')`;

/**
 * Puts calls on record before they leave, in one transaction: status, attempt, the booking against the job's cap, and
 * the event `step.started` (after `step.retried` where an answer was lost). After this a crash leaves an attempt whose outcome is unknown, which is the truth. Results
 * are in the order of the list.
 */
export async function markSent(
  database: Database,
  departures: readonly Departure[],
): Promise<DepartureResult[]> {
  return database.transaction(async (transaction) => {
    const jobs = await transaction.query<JobCap>(LOCK_JOBS, [
      [...new Set(departures.map((each) => each.jobId))],
    ]);
    const caps = new Map(jobs.map((job) => [job.id, job]));
    const verdicts = departures.map((departure) => book(caps.get(departure.jobId), departure));
    const leaving = departures.filter((_, index) => verdicts[index] === 'go');
    const sent = await transaction.query<SentRow>(SEND, [JSON.stringify(leaving)]);
    const attempts = new Map(sent.map((row) => [`${row.job_id} ${row.key}`, row.number]));
    const events = await appendEvents(
      transaction,
      sent.flatMap((row) => toEvents(row, leaving)),
    );
    const underWay = await findUnderWay(
      transaction,
      departures.filter((_, index) => verdicts[index] === 'over_cap'),
    );
    return departures.map((departure, index) => {
      const { jobId, key } = departure;
      if (verdicts[index] === 'over_cap') {
        return { verdict: 'over_cap', othersUnderWay: underWay.has(jobId) };
      }
      const attempt = attempts.get(`${jobId} ${key}`);
      if (attempt === undefined) return { verdict: 'stale' };
      // The same claim twice in one batch: one call leaves.
      attempts.delete(`${jobId} ${key}`);
      return {
        verdict: 'go',
        attempt,
        events: events.filter((each) => each.jobId === jobId && each.data['step'] === key),
      };
    });
  });
}

async function findUnderWay(
  transaction: Queryable,
  departures: readonly Departure[],
): Promise<ReadonlySet<string>> {
  if (departures.length === 0) return new Set();
  const jobIds = [...new Set(departures.map((each) => each.jobId))];
  const rows = await transaction.query<{ id: string }>(FIND_UNDER_WAY, [jobIds]);
  return new Set(rows.map((row) => row.id));
}

interface SentRow {
  job_id: string;
  key: string;
  number: number;
  target: string;
}

function toEvents(row: SentRow, leaving: readonly Departure[]): NewEvent[] {
  const { job_id: jobId, key: step, number: attempt, target } = row;
  const lost = leaving.some((each) => each.jobId === jobId && each.key === step && each.lostAnswer);
  const started: NewEvent = { jobId, type: 'step.started', data: { step, attempt, target } };
  if (!lost) return [started];
  return [
    { jobId, type: 'step.retried', data: { step, reason: 'lost_answer', attempt: attempt - 1 } },
    started,
  ];
}

interface JobCap {
  id: string;
  max_cost_micro_usd: number | null;
  cost_micro_usd: number;
  reserved_micro_usd: number;
}

/** Books on the locked row's copy, so that calls of one job in one batch see each other. */
function book(job: JobCap | undefined, departure: Departure): 'go' | 'stale' | 'over_cap' {
  if (!job) return 'stale';
  const booked = job.cost_micro_usd + job.reserved_micro_usd;
  const wouldPass =
    job.max_cost_micro_usd !== null && booked + departure.worstCaseMicroUsd > job.max_cost_micro_usd;
  if (wouldPass) return 'over_cap';
  job.reserved_micro_usd += departure.worstCaseMicroUsd;
  return 'go';
}
