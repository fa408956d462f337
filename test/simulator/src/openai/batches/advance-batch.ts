import { answerOrder, runBatchLine, type LineEndpoint } from '../../batches/run-batch-line.ts';
import { errorBody } from '../../http/vendor-error.ts';
import { objectOf, parseJson, stringOf } from '../../json-value.ts';
import type { Simulator } from '../../simulator.ts';
import type { FileStore } from '../file-store.ts';
import { WINDOW_MS, type BatchRecord, type BatchStatus } from './batch-record.ts';
import { indexLines } from './line-index.ts';
import { validateBatch } from './validate-batch.ts';

export interface BatchTools {
  readonly simulator: Simulator;
  readonly files: FileStore;
  /** By the batch's endpoint: `/v1/chat/completions`. */
  readonly endpointOf: (endpoint: string) => LineEndpoint | null;
}

/** Moves a batch on to where it is by now on the movable clock. */
export async function advanceBatch(tools: BatchTools, batch: BatchRecord): Promise<void> {
  const nowMs = tools.simulator.clock.nowMs();
  const { validateMs, runMs, finalizeMs, cancelMs } = tools.simulator.config().batches;
  if (batch.status === 'validating' && nowMs >= batch.createdAtMs + validateMs) {
    validate(tools, batch, batch.createdAtMs + validateMs);
  }
  const begunAtMs = batch.enteredAtMs.in_progress;
  if (batch.status === 'in_progress' && begunAtMs !== undefined) {
    const total = batch.lines?.count ?? 0;
    const share = runMs <= 0 ? 1 : Math.min(1, (nowMs - begunAtMs) / runMs);
    await workUpTo(tools, batch, Math.floor(total * share));
    if (batch.done === total && batch.stuck.length === 0) enter(batch, 'finalizing', begunAtMs + runMs);
    else if (nowMs >= batch.createdAtMs + WINDOW_MS) expire(tools, batch, batch.createdAtMs + WINDOW_MS);
  }
  const finalizingAtMs = batch.enteredAtMs.finalizing;
  if (batch.status === 'finalizing' && finalizingAtMs !== undefined && nowMs >= finalizingAtMs + finalizeMs) {
    publish(batch);
    enter(batch, 'completed', finalizingAtMs + finalizeMs);
  }
  const cancellingAtMs = batch.enteredAtMs.cancelling;
  if (batch.status === 'cancelling' && cancellingAtMs !== undefined && nowMs >= cancellingAtMs + cancelMs) {
    publish(batch);
    enter(batch, 'cancelled', cancellingAtMs + cancelMs);
  }
}

/** Stops a batch that has not ended; what was answered is kept. */
export function cancelBatch(batch: BatchRecord, atMs: number): void {
  if (['validating', 'in_progress', 'finalizing'].includes(batch.status)) enter(batch, 'cancelling', atMs);
}

function enter(batch: BatchRecord, status: BatchStatus, atMs: number): void {
  batch.status = status;
  batch.enteredAtMs[status] = atMs;
}

function validate(tools: BatchTools, batch: BatchRecord, atMs: number): void {
  const file = tools.files.find(batch.account, batch.inputFileId);
  if (file === null) {
    batch.problems = [
      { code: 'invalid_file', message: 'The input file was not found.', line: null, param: 'input_file_id' },
    ];
    enter(batch, 'failed', atMs);
    return;
  }
  const lines = indexLines(file.path);
  const { model, problems } = validateBatch(lines, batch.endpoint);
  batch.model = model;
  batch.problems = problems;
  if (problems.length > 0) {
    lines.close();
    enter(batch, 'failed', atMs);
    return;
  }
  batch.lines = lines;
  enter(batch, 'in_progress', atMs);
}

async function workUpTo(tools: BatchTools, batch: BatchRecord, target: number): Promise<void> {
  const { lines } = batch;
  const endpoint = tools.endpointOf(batch.endpoint);
  if (lines === null || endpoint === null) return;
  for (; batch.done < target; batch.done += 1) {
    runLine(tools, batch, endpoint, answerOrder(batch.done, lines.count));
    if (batch.done % 200 === 199) await new Promise((resolve) => setImmediate(resolve));
  }
}

function runLine(tools: BatchTools, batch: BatchRecord, endpoint: LineEndpoint, position: number): void {
  const { simulator, files } = tools;
  const line = objectOf(parseJson(batch.lines?.read(position) ?? ''));
  const customId = stringOf(line['custom_id']) ?? '';
  const path = batch.endpoint.replace(/^\/v1/, '');
  const body = objectOf(line['body']);
  const outcome = runBatchLine(
    simulator,
    { dialect: 'openai', account: batch.account, batchId: batch.id, customId, path, body },
    endpoint,
  );
  if (outcome.kind === 'stuck') {
    batch.stuck.push(position);
    return;
  }
  const requestId = simulator.nextId('req_');
  if (outcome.kind === 'answered') {
    batch.completed += 1;
    const { usage } = batch;
    batch.usage = {
      inputTokens: usage.inputTokens + outcome.billed.inputTokens,
      cachedInputTokens: usage.cachedInputTokens + outcome.billed.cachedInputTokens,
      cacheWriteTokens: usage.cacheWriteTokens + outcome.billed.cacheWriteTokens,
      outputTokens: usage.outputTokens + outcome.billed.outputTokens,
      reasoningTokens: usage.reasoningTokens + outcome.billed.reasoningTokens,
    };
    batch.output ??= files.draft();
    batch.output.write(
      lineOf(simulator, customId, { status_code: 200, request_id: requestId, body: outcome.body }, null),
    );
    return;
  }
  batch.failed += 1;
  const error = parseJson(errorBody('openai', { ...outcome.error, html: null }, requestId));
  batch.errors ??= files.draft();
  batch.errors.write(
    lineOf(
      simulator,
      customId,
      { status_code: outcome.error.status, request_id: requestId, body: error },
      null,
    ),
  );
}

function lineOf(simulator: Simulator, customId: string, response: unknown, error: unknown): string {
  return `${JSON.stringify({ id: simulator.nextId('batch_req_'), custom_id: customId, response, error })}\n`;
}

/** Lines that were not answered within the window go into the error file. */
function expire(tools: BatchTools, batch: BatchRecord, atMs: number): void {
  const total = batch.lines?.count ?? 0;
  const open = [...batch.stuck];
  for (let position = batch.done; position < total; position += 1) open.push(answerOrder(position, total));
  for (const position of open) {
    const customId = stringOf(objectOf(parseJson(batch.lines?.read(position) ?? ''))['custom_id']) ?? '';
    const error = {
      code: 'batch_expired',
      message: 'This request could not be executed before the completion window expired.',
    };
    batch.failed += 1;
    batch.errors ??= tools.files.draft();
    batch.errors.write(lineOf(tools.simulator, customId, null, error));
  }
  publish(batch);
  enter(batch, 'expired', atMs);
}

function publish(batch: BatchRecord): void {
  const fields = { account: batch.account, purpose: 'batch_output', expiresAtMs: null };
  if (batch.output !== null) {
    batch.outputFileId = batch.output.publish({ ...fields, fileName: `${batch.id}_output.jsonl` }).id;
  }
  if (batch.errors !== null) {
    batch.errorFileId = batch.errors.publish({ ...fields, fileName: `${batch.id}_error.jsonl` }).id;
  }
  batch.output = null;
  batch.errors = null;
  batch.lines?.close();
}
