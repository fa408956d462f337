import type { Queryable } from '../database.ts';
import { batchColumns, toBatchRecord } from './batch-row.ts';
import type { BatchRecord, BatchRow } from './batch-row.ts';

/** A batch that is about to be gathered. */
export interface NewBatch {
  id: string;
  provider: string;
  model: string;
  target: string;
  owner: string;
  /** How long nobody else looks at it. */
  leaseMs: number;
}

const OPEN = `
INSERT INTO provider_batches AS b (id, provider, model, target, owner, fence, wake_at)
VALUES ($1, $2, $3, $4, $5, 1, now() + $6 * interval '1 millisecond') RETURNING ${batchColumns}`;

/** Puts the intent of a batch on record, held by `owner`, without a line yet. */
export async function openBatch(database: Queryable, batch: NewBatch): Promise<BatchRecord> {
  const { id, provider, model, target, owner, leaseMs } = batch;
  const [row] = await database.query<BatchRow>(OPEN, [id, provider, model, target, owner, leaseMs]);
  if (!row) throw new Error(`the batch ${id} was not written`);
  return toBatchRecord(row);
}
