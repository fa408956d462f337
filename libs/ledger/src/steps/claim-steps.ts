import type { Lane, Priority, StepRequest } from '@millrace/contracts';
import { LedgerUnavailable, LOCK_NOT_AVAILABLE, sqlState } from '../database.ts';
import type { Database, Queryable } from '../database.ts';
import { readClaim } from './read-claim.ts';
import type { ClaimRow, Unreadable } from './read-claim.ts';

/** A step by its place: the job and the key inside it. */
export interface StepReference {
  jobId: string;
  key: string;
}

/** A step that a worker wants. */
export interface WantedStep extends StepReference {
  /**
   * The answer to an earlier claim of this process got lost: where the ledger says that it has the step, it is given to it
   * once more. Whatever came of the first claim is refused by its fence.
   */
  again?: boolean;
}

/** The last answer that did not fit the output schema, as the next attempt needs it. */
export interface RepairState {
  answer: string;
  feedback: string;
  fingerprint: string;
}

/** A step that this worker now holds until its lease runs out, with all it needs to run it. */
export interface ClaimedStep extends StepReference {
  /** Every write about this claim must carry it. */
  fence: number;
  tenantId: string;
  requestId: string;
  traceparent: string | null;
  priority: Priority;
  request: StepRequest;
  /** Set when this version cannot read what the step asks: `request` is only a stand-in then, and nothing may be sent. */
  unreadable?: Unreadable;
  route: string | null;
  target: string;
  pool: string;
  lane: Lane;
  spentTargets: string[];
  targetAttempts: number;
  attempts: number;
  repairs: number;
  deaths: number;
  repair: RepairState | null;
  /**
   * True when an earlier holder had sent the call and nobody recorded the answer; also of later claims, until an outcome is
   * recorded or the step is sent again.
   */
  lostAnswer: boolean;
  ambiguousPolicy: 'retry' | 'hold';
  /** Milliseconds since 1970, null without one. */
  deadlineAt: number | null;
  maxCostMicroUsd: number | null;
  createdAt: number;
}

/** How long a claim waits for those who have a step's row locked: a heartbeat, the reconciler, another claim. */
const PATIENCE = "'250ms'";

/** One that waits and is due, or whose holder let its lease run out before it sent anything. */
const IS_FREE = `(s.status = 'pending' AND s.not_before <= now() + interval '50 milliseconds')
     OR (s.status = 'claimed' AND (s.wake_at < now() OR w.again AND s.owner = $3))`;

const WANTED = `
WITH patience AS (
  SELECT set_config('lock_timeout', ${PATIENCE}, true)
), wanted AS (
  SELECT w.job_id, w.key, bool_or(w.again) AS again
  FROM patience, unnest($1::text[], $2::text[], $5::bool[]) AS w (job_id, key, again) GROUP BY w.job_id, w.key
)`;

const CLAIM = `
UPDATE steps s SET
  status = 'claimed', fence = s.fence + 1, owner = $3, wake_at = now() + $4 * interval '1 millisecond', wake_count = 0,
  -- A worker that claims its own step again has not died; the answer to its first claim got lost.
  deaths = s.deaths + CASE WHEN free.was = 'pending' OR s.owner = $3 THEN 0 ELSE 1 END,
  ambiguous = s.ambiguous OR free.was = 'sent',
  -- Also when this claim gets lost in its turn: what the tenant wants done about it is still to be done.
  answer_lost = s.answer_lost OR free.was = 'sent',
  -- What a lost call may have cost stays booked on the job; the step is free to book its next call.
  reserved_micro_usd = 0,
  ambiguous_calls = s.ambiguous_calls + CASE WHEN free.was = 'sent' THEN 1 ELSE 0 END
FROM free, jobs j JOIN tenants t ON t.id = j.tenant_id
WHERE s.job_id = free.job_id AND s.key = free.key AND j.id = s.job_id AND j.finished_at IS NULL
RETURNING s.job_id, s.key, s.fence, j.tenant_id, j.request_id, j.traceparent, s.priority, s.request, s.route, s.target,
  s.pool, s.lane, s.spent_targets, s.target_attempts, s.attempts, s.repairs, s.deaths, s.repair, s.answer_lost AS lost_answer,
  free.was = 'sent' AS newly_lost, t.ambiguous_policy, j.deadline_at, j.max_cost_micro_usd, s.created_at`;

/** Nearly all claims: no call was lost, so no job changes, and the statement is a transaction by itself. */
const CLAIM_FREE = `${WANTED}, free AS (
  SELECT s.job_id, s.key, s.status AS was FROM steps s JOIN wanted w ON s.job_id = w.job_id AND s.key = w.key
  WHERE ${IS_FREE}
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s SKIP LOCKED
)${CLAIM}`;

/**
 * Rows are locked in the order that everybody keeps: jobs before steps, each in the order of their keys. The jobs of lost
 * calls are locked because their counts change; the sort makes sure that this happens before the first step is locked.
 */
const claimAny = (locked: 'SKIP LOCKED' | '') => `${WANTED}, lost_jobs AS MATERIALIZED (
  SELECT j.id FROM jobs j WHERE j.id IN (
    SELECT s.job_id FROM steps s JOIN wanted w ON s.job_id = w.job_id AND s.key = w.key
    WHERE s.status = 'sent' AND s.wake_at < now())
  ORDER BY j.id FOR NO KEY UPDATE OF j ${locked}
), free AS (
  SELECT s.job_id, s.key, s.status AS was FROM steps s JOIN wanted w ON s.job_id = w.job_id AND s.key = w.key
  WHERE ${IS_FREE}
     OR (s.status = 'sent' AND s.wake_at < now() AND s.job_id IN (SELECT id FROM lost_jobs))
  ORDER BY s.job_id, s.key FOR NO KEY UPDATE OF s ${locked}
)${CLAIM}`;

const CLAIM_UNLOCKED = claimAny('SKIP LOCKED');
const CLAIM_LOCKED = claimAny('');

const MARK_LOST = `
WITH lost AS (
  SELECT job_id, key FROM unnest($1::text[], $2::text[]) AS l (job_id, key)
), marked AS (
  UPDATE attempts a SET status = 'ambiguous', finished_at = now() FROM lost
  WHERE a.job_id = lost.job_id AND a.step_key = lost.key AND a.status = 'sent' AND NOT a.escaped
)
UPDATE jobs SET ambiguous_calls = ambiguous_calls + each.calls
FROM (SELECT job_id, count(*)::int AS calls FROM lost GROUP BY job_id) AS each WHERE jobs.id = each.job_id`;

/**
 * Claims steps for a worker: those that are free, or whose holder let its lease run out. Each claim raises the fence, so
 * that the former holder's answer is refused. Steps that somebody else holds, that must wait, or whose job has ended are
 * left out of the answer. A call whose answer got lost is marked `ambiguous` in the same transaction.
 *
 * What is free is claimed by one statement; what is left may be lost calls. Steps whose rows are locked at the moment are
 * waited for a little at last: to leave them out would waste their wakes. A process that stands still with locks cannot
 * make the others wait for long. A throw may leave steps claimed only where the connection broke: {@link WantedStep}.
 */
export async function claimSteps(
  database: Database,
  references: readonly WantedStep[],
  owner: string,
  leaseMs: number,
): Promise<ClaimedStep[]> {
  let claimed = await claimBy(CLAIM_FREE, database, references, owner, leaseMs);
  for (const statement of [CLAIM_UNLOCKED, CLAIM_LOCKED]) {
    const names = new Set(claimed.map(nameOf));
    const rest = references.filter((each) => !names.has(nameOf(each)));
    if (rest.length === 0) return claimed;
    try {
      const more = await database.transaction(async (transaction) =>
        claimBy(statement, transaction, rest, owner, leaseMs),
      );
      claimed = [...claimed, ...more];
    } catch (error) {
      // What is claimed must reach its worker, whatever a later transaction met. The reconciler wakes the rest.
      if (claimed.length > 0) return claimed;
      const isAway = error instanceof LedgerUnavailable || sqlState(error) === LOCK_NOT_AVAILABLE;
      if (isAway && statement === CLAIM_LOCKED) return claimed;
      throw error;
    }
  }
  return claimed;
}

function nameOf({ jobId, key }: StepReference): string {
  return `${jobId} ${key}`;
}

async function claimBy(
  statement: string,
  transaction: Queryable,
  references: readonly WantedStep[],
  owner: string,
  leaseMs: number,
): Promise<ClaimedStep[]> {
  const rows = await transaction.query<ClaimRow & { newly_lost: boolean }>(statement, [
    references.map((each) => each.jobId),
    references.map((each) => each.key),
    owner,
    leaseMs,
    references.map((each) => each.again === true),
  ]);
  await markLost(
    transaction,
    rows.filter((row) => row.newly_lost),
  );
  return rows.map(readClaim);
}

async function markLost(transaction: Queryable, rows: readonly ClaimRow[]): Promise<void> {
  if (rows.length === 0) return;
  await transaction.query(MARK_LOST, [rows.map((row) => row.job_id), rows.map((row) => row.key)]);
}
