import type { Queryable } from '../database.ts';
import type { StepOutcome } from './step-outcome.ts';

const INSERT = `
WITH billed AS (
  SELECT * FROM json_to_recordset($1) AS j (
    job_id text, step_key text, attempt int, tenant_id text, target text, service_tier text, input_tokens bigint,
    cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint, reasoning_tokens bigint,
    cost_micro_usd bigint, price_known boolean, estimated boolean, realtime_micro_usd bigint)
), inserted AS (
  INSERT INTO usage (job_id, step_key, attempt, tenant_id, target, service_tier, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, cost_micro_usd, price_known, estimated, realtime_micro_usd)
  SELECT job_id, step_key, attempt, tenant_id, target, service_tier, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, cost_micro_usd, price_known, estimated, realtime_micro_usd
  FROM billed
  ON CONFLICT DO NOTHING
  RETURNING *
), on_steps AS (
  UPDATE steps s SET input_tokens = s.input_tokens + t.input_tokens,
    cached_input_tokens = s.cached_input_tokens + t.cached_input_tokens, output_tokens = s.output_tokens + t.output_tokens,
    reasoning_tokens = s.reasoning_tokens + t.reasoning_tokens, cost_micro_usd = s.cost_micro_usd + t.cost_micro_usd
  FROM (
    SELECT job_id, step_key, sum(input_tokens) AS input_tokens, sum(cached_input_tokens) AS cached_input_tokens,
      sum(output_tokens) AS output_tokens, sum(reasoning_tokens) AS reasoning_tokens, sum(cost_micro_usd) AS cost_micro_usd
    FROM inserted GROUP BY job_id, step_key
  ) AS t WHERE s.job_id = t.job_id AND s.key = t.step_key
)
UPDATE jobs SET input_tokens = jobs.input_tokens + t.input_tokens,
  cached_input_tokens = jobs.cached_input_tokens + t.cached_input_tokens,
  output_tokens = jobs.output_tokens + t.output_tokens, reasoning_tokens = jobs.reasoning_tokens + t.reasoning_tokens,
  cost_micro_usd = jobs.cost_micro_usd + t.cost_micro_usd
FROM (
  SELECT job_id, sum(input_tokens) AS input_tokens, sum(cached_input_tokens) AS cached_input_tokens,
    sum(output_tokens) AS output_tokens, sum(reasoning_tokens) AS reasoning_tokens, sum(cost_micro_usd) AS cost_micro_usd
  FROM inserted GROUP BY job_id
) AS t WHERE jobs.id = t.job_id`;

/**
 * Books what calls cost: a usage row per attempt (a second report of the same attempt changes nothing), and the totals
 * of step and job, also of a job that has ended meanwhile. The caller's transaction holds the job rows.
 */
export async function insertUsage(
  transaction: Queryable,
  outcomes: readonly StepOutcome[],
  tenants: ReadonlyMap<string, string>,
): Promise<void> {
  const rows = outcomes.flatMap(({ jobId, key, attempt }) => {
    const tenantId = tenants.get(jobId);
    if (!attempt?.usage || tenantId === undefined) return [];
    const { usage } = attempt;
    return [
      {
        job_id: jobId,
        step_key: key,
        attempt: attempt.number,
        tenant_id: tenantId,
        target: attempt.target,
        service_tier: usage.serviceTier,
        input_tokens: usage.inputTokens,
        cached_input_tokens: usage.cachedInputTokens,
        cache_write_tokens: usage.cacheWriteTokens,
        output_tokens: usage.outputTokens,
        reasoning_tokens: usage.reasoningTokens,
        cost_micro_usd: usage.costMicroUsd,
        price_known: usage.priceKnown,
        estimated: usage.estimated,
        realtime_micro_usd: usage.realtimeMicroUsd,
      },
    ];
  });
  if (rows.length > 0) await transaction.query(INSERT, [JSON.stringify(rows)]);
}
