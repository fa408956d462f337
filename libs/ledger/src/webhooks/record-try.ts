import type { Database, Queryable } from '../database.ts';
import { closeDeliveries } from './close-deliveries.ts';

/** What a try means for its delivery. `gone`: the receiver wants nothing any more, so its endpoint is disabled. */
export type TryVerdict =
  { kind: 'delivered' } | { kind: 'retry'; delayMs: number } | { kind: 'exhausted' } | { kind: 'gone' };

/** One try of a claimed delivery, as it ended. */
export interface DeliveryTry {
  deliveryId: string;
  /** From the claim. */
  fence: number;
  endpointId: string | null;
  durationMs: number;
  /** Null when no answer came. */
  httpStatus: number | null;
  /** What went wrong, for the receiver's owner to read; null when the status says it all. */
  error: string | null;
  verdict: TryVerdict;
}

/**
 * What the try led to. `closed`: the delivery was ended while the try was under way, so the try is only noted. `stale`:
 * somebody else holds the delivery now and nothing was written.
 */
export interface RecordedTry {
  outcome: 'delivered' | 'retry' | 'exhausted' | 'closed' | 'stale';
  /** How long until the next try, null when there will be none. */
  nextDelayMs: number | null;
  /** True when this try made the platform disable the endpoint. */
  endpointDisabled: boolean;
}

/** How long after its time the reconciler looks at a try whose wake got lost. */
const WAKE_GRACE = "interval '10 seconds'";

const LOCK_ENDPOINT = `
SELECT id, enabled AND deleted_at IS NULL AS open, failing_since < now() - $2 * interval '1 millisecond' AS hopeless
FROM webhook_endpoints WHERE id = $1 FOR NO KEY UPDATE`;

const LOCK_DELIVERY = `SELECT status FROM webhook_deliveries WHERE id = $1 AND fence = $2 FOR NO KEY UPDATE`;

const NOTE_TRY = `
WITH counted AS (UPDATE webhook_deliveries SET tries = tries + 1 WHERE id = $1 RETURNING id, tries)
INSERT INTO webhook_tries (delivery_id, number, at, duration_ms, http_status, error)
SELECT id, tries, now() - $2 * interval '1 millisecond', $2, $3, $4 FROM counted`;

const END = `UPDATE webhook_deliveries SET status = $2, wake_at = NULL, finished_at = now() WHERE id = $1`;

const POSTPONE = `
UPDATE webhook_deliveries SET not_before = now() + $2 * interval '1 millisecond',
  wake_at = now() + $2 * interval '1 millisecond' + ${WAKE_GRACE}, wake_count = 0
WHERE id = $1`;

const RESET_FAILURES = `
UPDATE webhook_endpoints SET consecutive_failures = 0, failing_since = NULL
WHERE id = $1 AND (consecutive_failures > 0 OR failing_since IS NOT NULL)`;

const COUNT_FAILURE = `
UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, now()),
  consecutive_failures = consecutive_failures + CASE WHEN $2 THEN 1 ELSE 0 END
WHERE id = $1`;

const DISABLE = `UPDATE webhook_endpoints SET enabled = false, disabled_reason = $2 WHERE id = $1`;

/**
 * Records a try in one transaction: the entry in the log, the delivery's new state, and the endpoint's record of failures.
 * An endpoint is disabled, and its other pending deliveries end as `exhausted`, when it answers "gone" or when every try
 * for `disableAfterMs` has failed. Success clears its record.
 */
export async function recordTry(
  database: Database,
  attempt: DeliveryTry,
  disableAfterMs: number,
): Promise<RecordedTry> {
  return database.transaction(async (transaction) => {
    // The endpoint comes before the delivery, as everywhere. Success locks it only when there is a record to clear, so
    // that deliveries to a healthy endpoint do not wait for each other.
    if (attempt.verdict.kind === 'delivered') await transaction.query(RESET_FAILURES, [attempt.endpointId]);
    const endpoint = await lockFailing(transaction, attempt, disableAfterMs);
    const [delivery] = await transaction.query<{ status: string }>(LOCK_DELIVERY, [
      attempt.deliveryId,
      attempt.fence,
    ]);
    if (!delivery) return { outcome: 'stale', nextDelayMs: null, endpointDisabled: false };
    await transaction.query(NOTE_TRY, [
      attempt.deliveryId,
      attempt.durationMs,
      attempt.httpStatus,
      attempt.error,
    ]);
    if (delivery.status !== 'pending')
      return { outcome: 'closed', nextDelayMs: null, endpointDisabled: false };

    const reason = endpoint?.open ? reasonToDisable(attempt.verdict, endpoint.hopeless) : null;
    const nextDelayMs = attempt.verdict.kind === 'retry' && reason === null ? attempt.verdict.delayMs : null;
    const outcome = outcomeOf(attempt.verdict, nextDelayMs);
    if (nextDelayMs === null) await transaction.query(END, [attempt.deliveryId, outcome]);
    else await transaction.query(POSTPONE, [attempt.deliveryId, nextDelayMs]);

    if (outcome !== 'delivered')
      await transaction.query(COUNT_FAILURE, [attempt.endpointId, outcome === 'exhausted']);
    if (endpoint && reason !== null) await disable(transaction, endpoint.id, reason);
    return { outcome, nextDelayMs, endpointDisabled: reason !== null };
  });
}

interface LockedEndpoint {
  id: string;
  open: boolean;
  /** Null when it was not failing. */
  hopeless: boolean | null;
}

async function lockFailing(
  transaction: Queryable,
  attempt: DeliveryTry,
  disableAfterMs: number,
): Promise<LockedEndpoint | undefined> {
  if (attempt.verdict.kind === 'delivered') return undefined;
  const [endpoint] = await transaction.query<LockedEndpoint>(LOCK_ENDPOINT, [
    attempt.endpointId,
    disableAfterMs,
  ]);
  return endpoint;
}

function reasonToDisable(verdict: TryVerdict, hopeless: boolean | null): string | null {
  if (verdict.kind === 'delivered') return null;
  if (verdict.kind === 'gone') return 'the receiver answered 410 Gone';
  return hopeless === true ? 'every try has failed for too long' : null;
}

function outcomeOf(verdict: TryVerdict, nextDelayMs: number | null): 'delivered' | 'retry' | 'exhausted' {
  if (verdict.kind === 'delivered') return 'delivered';
  return nextDelayMs === null ? 'exhausted' : 'retry';
}

async function disable(transaction: Queryable, endpointId: string, reason: string): Promise<void> {
  await transaction.query(DISABLE, [endpointId, reason]);
  await closeDeliveries(transaction, endpointId, 'exhausted');
}
