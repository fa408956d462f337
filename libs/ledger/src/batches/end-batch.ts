import type { Database } from '../database.ts';
import type { BatchOutcome, BatchRecord } from './batch-row.ts';

/** The sums over a batch's lines when it ended. */
export interface BatchSums {
  answered: number;
  errored: number;
  unbilled: number;
  paidTwice: number;
  paidTwiceMicroUsd: number;
  inputTokens: number;
  outputTokens: number;
  costMicroUsd: number;
  /** What the same tokens would have cost in realtime. */
  realtimeMicroUsd: number;
  /** What realtime would have cost more for the answers that were used, less what was paid for the others; may be negative. */
  savedMicroUsd: number;
}

/** An answer is of use unless its step had left the batch, or was cancelled meanwhile. */
const SUM = `
SELECT count(*) FILTER (WHERE a.status = 'completed')::int AS answered,
  count(*) FILTER (WHERE a.status IN ('failed', 'ambiguous'))::int AS errored,
  count(*) FILTER (WHERE a.status IN ('interrupted', 'cancelled') AND u.job_id IS NULL)::int AS unbilled,
  count(*) FILTER (WHERE a.escaped AND u.cost_micro_usd > 0)::int AS "paidTwice",
  coalesce(sum(u.cost_micro_usd) FILTER (WHERE a.escaped), 0)::bigint AS "paidTwiceMicroUsd",
  coalesce(sum(u.input_tokens), 0)::bigint AS "inputTokens", coalesce(sum(u.output_tokens), 0)::bigint AS "outputTokens",
  coalesce(sum(u.cost_micro_usd), 0)::bigint AS "costMicroUsd",
  coalesce(sum(coalesce(u.realtime_micro_usd, u.cost_micro_usd)), 0)::bigint AS "realtimeMicroUsd",
  coalesce(sum(CASE WHEN a.escaped OR s.status = 'cancelled' THEN -u.cost_micro_usd
    ELSE coalesce(u.realtime_micro_usd, u.cost_micro_usd) - u.cost_micro_usd END), 0)::bigint AS "savedMicroUsd"
FROM attempts a LEFT JOIN usage u ON u.job_id = a.job_id AND u.step_key = a.step_key AND u.attempt = a.number
LEFT JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
WHERE a.batch_id = $1`;

const END = `
UPDATE provider_batches SET status = 'ended', wake_at = NULL, finished_at = now(), owner = NULL,
  -- One that was never proven ours may be what another batch of ours has lost.
  provider_batch_id = CASE WHEN certain THEN provider_batch_id END, outcome = coalesce($3, outcome), answered = $4, errored = $5, unbilled = $6, paid_twice = $7, paid_twice_micro_usd = $8,
  input_tokens = $9, output_tokens = $10, cost_micro_usd = $11, realtime_micro_usd = $12
WHERE id = $1 AND fence = $2 AND status <> 'ended' RETURNING id`;

/** A request that was answered proves its shape. */
const PROVE = `
INSERT INTO batch_shapes (target, shape, status)
SELECT DISTINCT b.target, s.shape, 'proven' FROM provider_batches b JOIN attempts a ON a.batch_id = b.id AND a.status = 'completed'
JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
WHERE b.id = $1 AND s.shape IS NOT NULL
ON CONFLICT (target, shape) DO UPDATE SET status = 'proven', changed_at = now() WHERE batch_shapes.status <> 'proven'`;

/**
 * Ends a batch and writes the sums over its lines; null when the claim is lost or it has ended. The vendor's id of one that is not
 * certain is forgotten.
 */
export async function endBatch(
  database: Database,
  batch: Pick<BatchRecord, 'id' | 'fence'>,
  outcome: BatchOutcome | null,
): Promise<BatchSums | null> {
  return database.transaction(async (transaction) => {
    const [sums] = await transaction.query<BatchSums>(SUM, [batch.id]);
    if (!sums) return null;
    const ended = await transaction.query(END, [
      batch.id,
      batch.fence,
      outcome,
      sums.answered,
      sums.errored,
      sums.unbilled,
      sums.paidTwice,
      sums.paidTwiceMicroUsd,
      sums.inputTokens,
      sums.outputTokens,
      sums.costMicroUsd,
      sums.realtimeMicroUsd,
    ]);
    if (ended.length === 0) return null;
    await transaction.query(PROVE, [batch.id]);
    return sums;
  });
}
