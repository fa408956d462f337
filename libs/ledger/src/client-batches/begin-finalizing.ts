import type { Queryable } from '../database.ts';

const BEGIN = `
UPDATE client_batches SET finalizing_at = coalesce(finalizing_at, now()),
  status = CASE WHEN status = 'in_progress' THEN 'finalizing' ELSE status END,
  output_file_id = coalesce(output_file_id, $2), error_file_id = coalesce(error_file_id, $3)
WHERE id = $1 AND ended_at IS NULL AND status <> 'validating'
RETURNING output_file_id AS "outputFileId", error_file_id AS "errorFileId"`;

/**
 * Chooses the files that the results of a batch will be in; whoever does it again gets the same. The caller has seen that
 * no line is open. Null when it has ended.
 */
export async function beginClientFinalizing(
  database: Queryable,
  batchId: string,
  files: { outputFileId: string; errorFileId: string },
): Promise<{ outputFileId: string; errorFileId: string } | null> {
  const [chosen] = await database.query<{ outputFileId: string; errorFileId: string }>(BEGIN, [
    batchId,
    files.outputFileId,
    files.errorFileId,
  ]);
  return chosen ?? null;
}
