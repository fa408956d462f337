import type { Queryable } from '../database.ts';

/** A sum or an order that is wrong. */
export interface Wrong {
  rule: string;
  id: string;
  detail: string;
}

/** Each rule selects what breaks it. */
const RULES: Record<string, string> = {
  'a job has exactly one terminal event if it has ended, as its last, and none before': `
    SELECT j.id, count(e) || ' terminal events' AS detail FROM jobs j
    LEFT JOIN job_events e ON e.job_id = j.id AND e.type IN ('job.completed', 'job.failed', 'job.cancelled', 'job.expired')
    GROUP BY j.id HAVING count(e) <> CASE WHEN j.finished_at IS NULL THEN 0 ELSE 1 END
      OR bool_or(e.type <> 'job.' || j.status OR e.at <> j.finished_at)`,
  'events are numbered 1, 2, 3 … without a gap': `
    SELECT j.id, 'last ' || j.last_sequence || ', highest ' || max(e.sequence) || ', count ' || count(*) AS detail
    FROM jobs j JOIN job_events e ON e.job_id = j.id GROUP BY j.id
    HAVING count(*) <> j.last_sequence OR max(e.sequence) <> j.last_sequence OR min(e.sequence) <> 1`,
  'every ended step has an ordinal of its own, and no other step has one': `
    SELECT s.job_id AS id, s.key || ' is ' || s.status || ' with ' || coalesce(s.ordinal::text, 'none') AS detail
    FROM steps s JOIN jobs j ON j.id = s.job_id
    WHERE (s.ordinal IS NOT NULL) <> (s.status IN ('completed', 'failed')) OR s.ordinal > j.last_ordinal
    UNION ALL
    SELECT job_id, 'ordinal ' || ordinal || ' stands ' || count(*) || ' times' FROM steps
    WHERE ordinal IS NOT NULL GROUP BY job_id, ordinal HAVING count(*) > 1`,
  'steps_done and steps_open count the steps': `
    SELECT j.id, 'done ' || j.steps_done || ' of ' || c.done || ', open ' || j.steps_open || ' of ' || c.open AS detail
    FROM jobs j CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE status = 'completed') AS done,
        count(*) FILTER (WHERE status NOT IN ('completed', 'failed', 'cancelled')) AS open
      FROM steps s WHERE s.job_id = j.id) c
    WHERE j.steps_done <> c.done OR j.steps_open <> c.open`,
  'the totals of jobs and steps are the sum of their usage': `
    SELECT j.id, j.cost_micro_usd || ' / ' || j.input_tokens || ' against ' || u.cost || ' / ' || u.input AS detail
    FROM jobs j CROSS JOIN LATERAL (
      SELECT coalesce(sum(cost_micro_usd), 0) AS cost, coalesce(sum(input_tokens), 0) AS input FROM usage
      WHERE job_id = j.id) u
    WHERE (j.cost_micro_usd, j.input_tokens) <> (u.cost, u.input)
    UNION ALL
    SELECT s.job_id, s.key || ': ' || s.cost_micro_usd || ' against ' || u.cost FROM steps s CROSS JOIN LATERAL (
      SELECT coalesce(sum(cost_micro_usd), 0) AS cost FROM usage WHERE job_id = s.job_id AND step_key = s.key) u
    WHERE s.cost_micro_usd <> u.cost`,
  'attempts are counted on steps and jobs, and numbered without a gap': `
    SELECT s.job_id AS id, s.key || ': ' || s.calls || ' calls, ' || a.count || ' attempts, last ' || a.last AS detail
    FROM steps s CROSS JOIN LATERAL (
      SELECT count(*) AS count, coalesce(max(number), 0) AS last FROM attempts WHERE job_id = s.job_id AND step_key = s.key) a
    WHERE s.calls <> a.count OR s.calls <> a.last
    UNION ALL
    SELECT j.id, j.calls || ' calls of ' || (SELECT sum(calls) FROM steps WHERE job_id = j.id) FROM jobs j
    WHERE j.calls <> (SELECT coalesce(sum(calls), 0) FROM steps WHERE job_id = j.id)`,
  'ambiguous calls are counted alike on steps and jobs': `
    SELECT j.id, j.ambiguous_calls || ' of ' || sum(s.ambiguous_calls) AS detail FROM jobs j JOIN steps s ON s.job_id = j.id
    GROUP BY j.id HAVING j.ambiguous_calls <> sum(s.ambiguous_calls)`,
  'settled and reserved stay within the cap, and no step has booked more than its job': `
    SELECT j.id, j.cost_micro_usd || ' + ' || j.reserved_micro_usd || ' of ' || coalesce(j.max_cost_micro_usd::text, 'no cap') AS detail
    FROM jobs j WHERE j.cost_micro_usd + j.reserved_micro_usd > j.max_cost_micro_usd
      OR j.reserved_micro_usd < (SELECT coalesce(sum(reserved_micro_usd), 0) FROM steps WHERE job_id = j.id AND status = 'sent')`,
  'a job that holds a step waits for a decision, and no other one does': `
    SELECT j.id, j.status AS detail FROM jobs j
    WHERE j.finished_at IS NULL
      AND (j.status = 'requires_action') <> EXISTS (SELECT FROM steps s WHERE s.job_id = j.id AND s.status = 'held')`,
};

/** Every sum and order of the ledger that can be checked from its rows alone; empty when all is well. */
export async function checkLedger(database: Queryable): Promise<Wrong[]> {
  const wrong: Wrong[] = [];
  for (const [rule, statement] of Object.entries(RULES)) {
    const rows = await database.query<{ id: string; detail: string }>(statement);
    wrong.push(...rows.map((row) => ({ rule, ...row })));
  }
  return wrong;
}
