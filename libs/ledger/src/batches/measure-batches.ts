import type { Queryable } from '../database.ts';

/** What the gauges of the batch lane show. */
export interface BatchReadings {
  collected: { target: string; count: number; oldestAgeSeconds: number }[];
  batches: { target: string; status: string; count: number; lines: number; estimatedTokens: number }[];
}

const COLLECTED = `
SELECT target, count(*)::int AS count, extract(epoch FROM now() - min(created_at))::float8 AS "oldestAgeSeconds"
FROM steps WHERE status = 'collected' GROUP BY target`;

const BATCHES = `
SELECT target, status, count(*)::int AS count, sum(line_count)::int AS lines, sum(estimated_tokens)::bigint AS "estimatedTokens"
FROM provider_batches WHERE wake_at IS NOT NULL GROUP BY target, status`;

/** Reads the gauges: two aggregates over what is open. */
export async function measureBatches(database: Queryable): Promise<BatchReadings> {
  return { collected: await database.query(COLLECTED), batches: await database.query(BATCHES) };
}
