import { batchFault, lineFault, runMsOf, runProgress, validateMsOf } from '../batches/batch-plan.ts';
import { createBreather } from '../batches/breather.ts';
import { answerOrder, runBatchLine } from '../batches/run-batch-line.ts';
import { usdText } from '../billing/bill.ts';
import { numberParameter, type Fault } from '../faults/fault-kinds.ts';
import { errorBody } from '../http/vendor-error.ts';
import { objectOf, parseJson, stringOf, type JsonObject } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import { statusOf, type MessageBatch } from './batch-record.ts';
import { readMessages } from './read-messages.ts';
import { writeMessages } from './write-messages.ts';

/** Moves a batch on to where it is by now on the movable clock. */
export async function advanceBatch(simulator: Simulator, batch: MessageBatch): Promise<void> {
  if (batch.endedAtMs !== null) return;
  const nowMs = simulator.clock.nowMs();
  const config = simulator.config().batches;
  const runMs = runMsOf(config, batch.plan, batch.model, batch.requests);
  // This vendor validates nothing before it begins; a batch that is stuck in validation just does not begin.
  const begunAtMs = batch.createdAtMs + Math.max(0, validateMsOf({ ...config, validateMs: 0 }, batch.plan));
  const untilMs = Math.min(nowMs, batch.cancelInitiatedAtMs ?? nowMs, batch.expiresAtMs);
  const progress =
    untilMs < begunAtMs
      ? { share: 0, endedAfterMs: null, expired: false }
      : runProgress(batch.plan, untilMs - begunAtMs, runMs);
  await workUpTo(simulator, batch, Math.floor(batch.requests * progress.share + 1e-9));
  const endedAtMs = progress.endedAfterMs === null ? null : begunAtMs + progress.endedAfterMs;
  if (batch.cancelInitiatedAtMs !== null) {
    const canceledAtMs = batch.cancelInitiatedAtMs + config.cancelMs;
    if (nowMs >= canceledAtMs) await end(simulator, batch, canceledAtMs, 'canceled');
  } else if (endedAtMs !== null && (progress.expired || allAnswered(batch))) {
    await end(simulator, batch, endedAtMs, 'expired');
  } else if (nowMs >= batch.expiresAtMs) {
    await end(simulator, batch, batch.expiresAtMs, 'expired');
  }
}

export function cancelBatch(simulator: Simulator, batch: MessageBatch): void {
  if (batch.endedAtMs !== null || batch.cancelInitiatedAtMs !== null) return;
  batch.cancelInitiatedAtMs = simulator.clock.nowMs();
  noteStatus(simulator, batch);
}

function noteStatus(simulator: Simulator, batch: MessageBatch): void {
  const { account, id: batchId } = batch;
  simulator.journal.note({ event: 'batch.status', account, batchId, status: statusOf(batch) });
}

function allAnswered(batch: MessageBatch): boolean {
  return batch.done === batch.requests && batch.stuck.length === 0;
}

async function workUpTo(simulator: Simulator, batch: MessageBatch, target: number): Promise<void> {
  const breathe = createBreather();
  const canceling = batch.cancelInitiatedAtMs !== null;
  while (batch.done < target && !simulator.batches.stopped()) {
    // A cancellation that comes meanwhile stops the work at once.
    if (!canceling && batch.cancelInitiatedAtMs !== null) return;
    runRequest(simulator, batch, answerOrder(batch.done, batch.requests));
    batch.done += 1;
    await breathe();
  }
}

function runRequest(simulator: Simulator, batch: MessageBatch, position: number): void {
  const request = objectOf(parseJson(batch.lines?.read(position) ?? ''));
  const customId = stringOf(request['custom_id']) ?? '';
  const line = {
    dialect: 'anthropic',
    account: batch.account,
    batchId: batch.id,
    customId,
    path: '/messages',
    body: objectOf(request['params']),
    fault: orderedFault(simulator, batch),
  } as const;
  const outcome = runBatchLine(simulator, line, {
    read: (body) => readMessages(body, simulator, batch.version, 'batch'),
    write: (call, answer) => writeMessages(call, answer, simulator),
  });
  if (outcome.kind === 'stuck') {
    batch.stuck.push(position);
    return;
  }
  if (outcome.kind === 'refused') {
    const error = { ...outcome.error, html: null };
    const body = objectOf(parseJson(errorBody('anthropic', error, simulator.nextId('req_01'))));
    batch.counts.errored += 1;
    writeResult(batch, customId, { type: 'errored', error: body });
    return;
  }
  const { billed } = outcome;
  batch.counts.succeeded += 1;
  batch.nanoUsd += outcome.nanoUsd;
  batch.usage = {
    inputTokens: batch.usage.inputTokens + billed.inputTokens,
    outputTokens: batch.usage.outputTokens + billed.outputTokens,
  };
  writeResult(batch, customId, { type: 'succeeded', message: outcome.body });
}

/** A batch whose validation fails is, with this vendor, one whose every request is refused at the end. */
function orderedFault(simulator: Simulator, batch: MessageBatch): Fault | null {
  if (batchFault(batch.plan, 'batch_validation_failed') !== null)
    return { kind: 'bad_request', parameters: {} };
  return lineFault(batch.plan, simulator.random);
}

/** What was not answered by then has the given result. */
async function end(
  simulator: Simulator,
  batch: MessageBatch,
  atMs: number,
  remaining: 'canceled' | 'expired',
): Promise<void> {
  const breathe = createBreather();
  const open = [...batch.stuck];
  for (let place = batch.done; place < batch.requests; place += 1)
    open.push(answerOrder(place, batch.requests));
  for (const position of open) {
    if (simulator.batches.stopped()) return;
    const customId = stringOf(objectOf(parseJson(batch.lines?.read(position) ?? ''))['custom_id']) ?? '';
    batch.counts[remaining] += 1;
    writeResult(batch, customId, { type: remaining });
    simulator.journal.note({
      event: 'line.ended',
      account: batch.account,
      batchId: batch.id,
      customId,
      result: remaining,
      status: null,
      inputTokens: 0,
      outputTokens: 0,
      billedUsd: usdText(0),
    });
    await breathe();
  }
  batch.done = batch.requests;
  batch.stuck.length = 0;
  batch.lines?.close();
  batch.lines = null;
  batch.resultBytes = batch.results.close();
  const missing = batchFault(batch.plan, 'batch_output_missing');
  if (missing !== null) {
    batch.missingUntilMs = atMs + numberParameter(missing, 'ms', 5_000);
    batch.unnamed = missing.parameters['form'] === 'unnamed';
  }
  batch.endedAtMs = atMs;
  noteStatus(simulator, batch);
  simulator.journal.note({
    event: 'batch.ended',
    dialect: 'anthropic',
    account: batch.account,
    batchId: batch.id,
    status: 'ended',
    requests: batch.requests,
    results: { ...batch.counts },
    ...batch.usage,
    billedUsd: usdText(batch.nanoUsd),
  });
}

function writeResult(batch: MessageBatch, customId: string, result: JsonObject): void {
  batch.results.write(`${JSON.stringify({ custom_id: customId, result })}\n`);
}
