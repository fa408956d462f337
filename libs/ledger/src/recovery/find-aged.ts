import type { Charge, Priority } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { CHARGE } from '../steps/charge-of-step.ts';

/** How long a step may wait in a class before it is raised to the next one. */
export interface AgeingLimits {
  standardMs: number;
  backgroundMs: number;
}

/** A step that is to be raised, with what its wake must carry. */
export interface AgedStep {
  jobId: string;
  key: string;
  pool: string;
  fence: number;
  from: Priority;
  /** The class that it is raised to. */
  priority: Priority;
  delayMs: number;
  charge: Charge;
}

/** Literals, because the index holds only the classes that can be raised. */
const find = (from: 'standard' | 'background', to: Priority) => `
SELECT job_id AS "jobId", key, pool, fence, '${from}' AS from, '${to}' AS priority, 0::float8 AS "delayMs",
  (${CHARGE}::jsonb || '{"aged": true}') AS charge
FROM steps s WHERE status = 'pending' AND priority = '${from}' AND class_since < now() - $1 * interval '1 millisecond'
ORDER BY class_since LIMIT $2`;

const STANDARD = find('standard', 'realtime');
const BACKGROUND = find('background', 'standard');

/** At most `limit` waiting steps of each class that have been in it for longer than the limits say, the oldest first. */
export async function findAged(
  database: Queryable,
  limits: AgeingLimits,
  limit: number,
): Promise<AgedStep[]> {
  return [
    ...(await database.query<AgedStep>(STANDARD, [limits.standardMs, limit])),
    ...(await database.query<AgedStep>(BACKGROUND, [limits.backgroundMs, limit])),
  ];
}
