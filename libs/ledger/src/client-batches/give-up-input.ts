import type { Queryable } from '../database.ts';
import type { ClientBatchProblem } from './batch-row.ts';

const GIVE_UP = `
UPDATE client_batches SET errors = $2::json WHERE id = $1 AND status = 'in_progress' AND errors IS NULL`;

/**
 * Notes that a batch under way will get no further lines, and why. What has become jobs runs to its end; then the batch ends as
 * `failed`, with the results that there are.
 */
export async function giveUpClientInput(
  database: Queryable,
  batchId: string,
  problems: readonly ClientBatchProblem[],
): Promise<void> {
  await database.query(GIVE_UP, [batchId, JSON.stringify(problems)]);
}
