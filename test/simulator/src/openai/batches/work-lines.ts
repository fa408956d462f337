import { lineFault } from '../../batches/batch-plan.ts';
import { createBreather } from '../../batches/breather.ts';
import { answerOrder, runBatchLine, type LineEndpoint } from '../../batches/run-batch-line.ts';
import { errorBody, type VendorError } from '../../http/vendor-error.ts';
import { objectOf, parseJson, stringOf } from '../../json-value.ts';
import type { Simulator } from '../../simulator.ts';
import type { BatchTools } from './advance-batch.ts';
import type { BatchRecord } from './batch-record.ts';

/** Answers lines until so many are done, or the batch is no longer in progress. */
export async function workUpTo(tools: BatchTools, batch: BatchRecord, target: number): Promise<void> {
  const endpoint = tools.endpointOf(batch.endpoint);
  const breathe = createBreather();
  if (batch.lines === null || endpoint === null) return;
  while (batch.done < target && batch.status === 'in_progress' && !tools.simulator.batches.stopped()) {
    runLine(tools, batch, endpoint, answerOrder(batch.done, batch.total));
    batch.done += 1;
    await breathe();
  }
}

/** Lines that will not be answered go into the error file. */
export async function endOpenLines(
  tools: BatchTools,
  batch: BatchRecord,
  result: 'expired' | 'canceled',
): Promise<void> {
  const breathe = createBreather();
  const open = [...batch.stuck];
  for (let place = batch.done; place < batch.total; place += 1) open.push(answerOrder(place, batch.total));
  for (const position of open) {
    if (tools.simulator.batches.stopped()) return;
    const customId = stringOf(objectOf(parseJson(batch.lines?.read(position) ?? ''))['custom_id']) ?? '';
    batch.results[result] += 1;
    writeError(tools, batch, customId, null, OPEN_ERRORS[result]);
    tools.simulator.journal.note({
      event: 'line.ended',
      account: batch.account,
      batchId: batch.id,
      customId,
      result,
      status: null,
      inputTokens: 0,
      outputTokens: 0,
      billedUsd: '0.000000000',
    });
    await breathe();
  }
  batch.done = batch.total;
  batch.stuck.length = 0;
}

const OPEN_ERRORS = {
  expired: {
    code: 'batch_expired',
    message: 'This request could not be executed before the completion window expired.',
  },
  canceled: { code: 'batch_cancelled', message: 'The batch was cancelled before this request executed.' },
} as const;

function runLine(tools: BatchTools, batch: BatchRecord, endpoint: LineEndpoint, position: number): void {
  const { simulator, files } = tools;
  const line = objectOf(parseJson(batch.lines?.read(position) ?? ''));
  const customId = stringOf(line['custom_id']) ?? '';
  const outcome = runBatchLine(
    simulator,
    {
      dialect: 'openai',
      account: batch.account,
      batchId: batch.id,
      customId,
      path: batch.endpoint.replace(/^\/v1/, ''),
      body: objectOf(line['body']),
      fault: lineFault(batch.plan, simulator.random),
    },
    endpoint,
  );
  if (outcome.kind === 'stuck') {
    batch.stuck.push(position);
    return;
  }
  if (outcome.kind === 'refused') {
    batch.results.errored += 1;
    writeRefusal(tools, batch, customId, outcome.error);
    return;
  }
  batch.results.succeeded += 1;
  batch.nanoUsd += outcome.nanoUsd;
  const { usage } = batch;
  batch.usage = {
    inputTokens: usage.inputTokens + outcome.billed.inputTokens,
    cachedInputTokens: usage.cachedInputTokens + outcome.billed.cachedInputTokens,
    cacheWriteTokens: usage.cacheWriteTokens + outcome.billed.cacheWriteTokens,
    outputTokens: usage.outputTokens + outcome.billed.outputTokens,
    reasoningTokens: usage.reasoningTokens + outcome.billed.reasoningTokens,
  };
  batch.output ??= files.draft();
  const response = { status_code: 200, request_id: simulator.nextId('req_'), body: outcome.body };
  batch.output.write(lineOf(simulator, customId, response, null));
}

/** A call that ran into a timeout has no response; every other refusal is the answer a realtime call would get. */
function writeRefusal(tools: BatchTools, batch: BatchRecord, customId: string, error: VendorError): void {
  if (error.status === 504) {
    const timeout = { code: 'request_timeout', message: 'The underlying call to the model timed out.' };
    writeError(tools, batch, customId, null, timeout);
    return;
  }
  const requestId = tools.simulator.nextId('req_');
  const body = parseJson(errorBody('openai', { ...error, html: null }, requestId));
  writeError(tools, batch, customId, { status_code: error.status, request_id: requestId, body }, null);
}

function writeError(
  tools: BatchTools,
  batch: BatchRecord,
  customId: string,
  response: unknown,
  error: unknown,
): void {
  batch.errors ??= tools.files.draft();
  batch.errors.write(lineOf(tools.simulator, customId, response, error));
}

function lineOf(simulator: Simulator, customId: string, response: unknown, error: unknown): string {
  return `${JSON.stringify({ id: simulator.nextId('batch_req_'), custom_id: customId, response, error })}\n`;
}
