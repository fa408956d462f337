import type { Queryable } from '../database.ts';
import type { ClientBatchProblem } from './batch-row.ts';

const GIVE_UP = `
WITH given_up AS (
  UPDATE client_batches SET errors = $2::json WHERE id = $1 AND status = 'in_progress' AND errors IS NULL RETURNING id)
UPDATE client_batch_lines l SET status = 'failed' FROM given_up
WHERE l.batch_id = given_up.id AND l.status IS NULL AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = l.job_id)`;

/**
 * Notes that a batch under way will get no further lines, and why. What has become jobs runs to its end; then the batch ends as
 * `failed`, with the results that there are. Lines that were noted by somebody who died before their jobs were committed fail here:
 * nothing else would end them before the window does.
 */
export async function giveUpClientInput(
  database: Queryable,
  batchId: string,
  problems: readonly ClientBatchProblem[],
): Promise<void> {
  await database.query(GIVE_UP, [batchId, JSON.stringify(problems)]);
}
