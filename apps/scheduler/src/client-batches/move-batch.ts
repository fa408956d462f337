import {
  cancelOpenClientJobs,
  closeClientLines,
  failClientBatch,
  findOpenClientLines,
  giveUpClientInput,
  startClientBatch,
} from '@millrace/ledger';
import type { ClientBatchProblem, FinishedJob, OpenClientBatch } from '@millrace/ledger';
import { crashPoint } from '@millrace/faults';
import { expandBatch } from './expand-batch.ts';
import type { ExpandOptions } from './expand-batch.ts';
import { InputMissing } from './read-input.ts';
import { validateBatch } from './validate-batch.ts';
import { writeResults } from './write-results.ts';

/** What moving batches on needs. */
export interface MoveOptions extends ExpandOptions {
  /** Tells the rest of the fleet of jobs that were cancelled here. Does not throw. */
  announceCancelled: (jobs: ReadonlyMap<string, FinishedJob>) => Promise<void>;
  /** Puts the webhooks of an ended batch on the queue. Does not throw. */
  deliver: (deliveryIds: readonly string[]) => Promise<void>;
  onEnded: (batch: OpenClientBatch, status: string) => void;
}

const AT_A_TIME = 200;

/**
 * Does what a batch needs next: validating → failed | in_progress; in_progress: turn lines into jobs until all are, and when
 * every job has ended, or the window is over, write the results; cancelling: cancel the open jobs, then write the results.
 * A batch whose input is gone for good fails: at once, or with what its jobs give.
 */
export async function moveBatch(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  try {
    await moveOn(batch, options);
  } catch (error) {
    if (!(error instanceof InputMissing) || !error.forGood) throw error;
    if (batch.status === 'validating') await fail(batch, [INPUT_GONE], options);
    else await giveUpClientInput(options.database, batch.id, [INPUT_GONE]);
  }
}

const INPUT_GONE = {
  code: 'invalid_file',
  line: null,
  message: 'The input file is gone.',
  param: 'input_file_id',
};

async function moveOn(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  switch (batch.status) {
    case 'validating':
      return validate(batch, options);
    case 'in_progress':
      return goOn(batch, options);
    case 'finalizing':
      return finish(batch, options);
    case 'cancelling':
      return cancel(batch, options);
    case 'failed':
    case 'completed':
    case 'expired':
    case 'cancelled':
      return;
  }
}

async function validate(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  const validation = await validateBatch(batch, options);
  crashPoint('client-batch.validated', batch.id);
  if (validation.ok) {
    await startClientBatch(options.database, { id: batch.id, ...validation });
    return;
  }
  await fail(batch, validation.problems, options);
}

async function fail(
  batch: OpenClientBatch,
  problems: readonly ClientBatchProblem[],
  options: MoveOptions,
): Promise<void> {
  const deliveryIds = await failClientBatch(options.database, batch.id, problems);
  if (!deliveryIds) return;
  options.onEnded(batch, 'failed');
  await options.deliver(deliveryIds);
}

async function goOn(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  const isOver = options.now() >= batch.expiresAt;
  const gaveUp = batch.problems.length > 0;
  if (!isOver && !gaveUp && batch.expandedLines < batch.total) return expandBatch(batch, options);
  if (batch.hasOpenLines && (isOver || gaveUp)) {
    return closeJobless(batch, isOver ? 'expired' : 'failed', options);
  }
  // The jobs have the batch's window as their deadline, so they end by themselves.
  if (!batch.hasOpenLines) await finish(batch, options);
}

/** Lines that were noted by somebody who died before the jobs were committed. Those with jobs end with them. */
async function closeJobless(
  batch: OpenClientBatch,
  status: 'expired' | 'failed',
  { database }: MoveOptions,
): Promise<void> {
  const open = await findOpenClientLines(database, batch.id, AT_A_TIME);
  const jobless = open.filter((line) => !line.hasJob).map((line) => line.line);
  if (jobless.length > 0) await closeClientLines(database, batch.id, jobless, status);
}

async function cancel(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  const { database } = options;
  for (;;) {
    const finished = await cancelOpenClientJobs(database, batch.id, AT_A_TIME);
    await options.announceCancelled(finished);
    if (!options.mayGoOn()) return;
    if (finished.size > 0) continue;
    const open = await findOpenClientLines(database, batch.id, AT_A_TIME);
    if (open.length === 0) break;
    const jobless = open.filter((line) => !line.hasJob).map((line) => line.line);
    if (jobless.length > 0) await closeClientLines(database, batch.id, jobless, 'cancelled');
  }
  await finish(batch, options);
}

async function finish(batch: OpenClientBatch, options: MoveOptions): Promise<void> {
  const ended = await writeResults(batch, options);
  if (!ended) return;
  options.onEnded(batch, ended.status);
  await options.deliver(ended.deliveryIds);
}
