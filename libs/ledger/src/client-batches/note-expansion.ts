import type { Queryable } from '../database.ts';

const NOTE = `
UPDATE client_batches SET expanded_lines = $2, expanded_bytes = $3 WHERE id = $1 AND expanded_lines < $2`;

/** Remembers that the first lines of a batch are jobs, and at which byte the next one begins. */
export async function noteClientExpansion(
  database: Queryable,
  batchId: string,
  expanded: { lines: number; bytes: number },
): Promise<void> {
  await database.query(NOTE, [batchId, expanded.lines, expanded.bytes]);
}
