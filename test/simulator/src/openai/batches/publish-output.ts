import { batchFault } from '../../batches/batch-plan.ts';
import { numberParameter } from '../../faults/fault-kinds.ts';
import type { BatchRecord } from './batch-record.ts';

/** Makes files of what was answered and of what was not; a batch without one of them has no such file. */
export function publishOutput(batch: BatchRecord, atMs: number): void {
  const missing = batchFault(batch.plan, 'batch_output_missing');
  const missingUntilMs = missing === null ? null : atMs + numberParameter(missing, 'ms', 5_000);
  const unnamed = missing?.parameters['form'] === 'unnamed';
  const fields = {
    account: batch.account,
    purpose: 'batch_output',
    expiresAtMs: batch.outputLifeMs === null ? null : atMs + batch.outputLifeMs,
  };
  if (batch.output !== null) {
    const fileName = `${batch.id}_output.jsonl`;
    batch.outputFileId = batch.output.publish({ ...fields, fileName, missingUntilMs }).id;
    if (unnamed && missingUntilMs !== null) batch.outputNamedAtMs = missingUntilMs;
  }
  if (batch.errors !== null) {
    const fileName = `${batch.id}_error.jsonl`;
    batch.errorFileId = batch.errors.publish({ ...fields, fileName, missingUntilMs: null }).id;
  }
  batch.output = null;
  batch.errors = null;
  batch.lines?.close();
  batch.lines = null;
}
