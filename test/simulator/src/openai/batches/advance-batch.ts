import { batchFault, runMsOf, runProgress, validateMsOf } from '../../batches/batch-plan.ts';
import { indexLines } from '../../batches/line-index.ts';
import type { LineEndpoint } from '../../batches/run-batch-line.ts';
import { usdText } from '../../billing/bill.ts';
import { isVendorError } from '../../http/vendor-error.ts';
import type { Simulator } from '../../simulator.ts';
import type { FileStore } from '../file-store.ts';
import { hasEnded, type BatchProblem, type BatchRecord, type BatchStatus } from './batch-record.ts';
import { publishOutput } from './publish-output.ts';
import { validateBatch } from './validate-batch.ts';
import { endOpenLines, workUpTo } from './work-lines.ts';

export interface BatchTools {
  readonly simulator: Simulator;
  readonly files: FileStore;
  /** By the batch's endpoint: `/v1/chat/completions`. */
  readonly endpointOf: (endpoint: string) => LineEndpoint | null;
  /** Prompt tokens that this account's other batches of a model hold. */
  readonly enqueuedTokens: (account: string, model: string) => number;
  readonly onEnded: (batch: BatchRecord) => void;
}

/** Moves a batch on to where it is by now on the movable clock. */
export async function advanceBatch(tools: BatchTools, batch: BatchRecord): Promise<void> {
  const nowMs = tools.simulator.clock.nowMs();
  if (batch.status === 'validating') await leaveValidation(tools, batch, nowMs);
  if (batch.status === 'in_progress') await run(tools, batch, nowMs);
  const config = tools.simulator.config().batches;
  const finalizingAtMs = batch.enteredAtMs.finalizing ?? Infinity;
  if (batch.status === 'finalizing' && nowMs >= finalizingAtMs + config.finalizeMs) {
    finish(tools, batch, 'completed', finalizingAtMs + config.finalizeMs);
  }
  const cancellingAtMs = batch.enteredAtMs.cancelling ?? Infinity;
  if (batch.status === 'cancelling' && nowMs >= cancellingAtMs + config.cancelMs) {
    await endOpenLines(tools, batch, 'canceled');
    finish(tools, batch, 'cancelled', cancellingAtMs + config.cancelMs);
  }
}

/** Stops a batch that has not ended; what was answered is kept. */
export function cancelBatch(tools: BatchTools, batch: BatchRecord, atMs: number): void {
  if (!hasEnded(batch) && batch.status !== 'cancelling') enter(tools, batch, 'cancelling', atMs);
}

async function leaveValidation(tools: BatchTools, batch: BatchRecord, nowMs: number): Promise<void> {
  const validMs = batch.createdAtMs + validateMsOf(tools.simulator.config().batches, batch.plan);
  if (nowMs >= Math.min(validMs, batch.expiresAtMs)) {
    if (validMs >= batch.expiresAtMs) finish(tools, batch, 'expired', batch.expiresAtMs);
    else await validate(tools, batch, validMs);
  }
}

async function run(tools: BatchTools, batch: BatchRecord, nowMs: number): Promise<void> {
  const begunAtMs = batch.enteredAtMs.in_progress ?? nowMs;
  const runMs = runMsOf(tools.simulator.config().batches, batch.plan, batch.model, batch.total);
  const untilMs = Math.min(nowMs, batch.expiresAtMs);
  const progress = runProgress(batch.plan, untilMs - begunAtMs, runMs);
  await workUpTo(tools, batch, Math.floor(batch.total * progress.share + 1e-9));
  if (batch.status !== 'in_progress') return;
  const endedAtMs = progress.endedAfterMs === null ? null : begunAtMs + progress.endedAfterMs;
  if (batch.done === batch.total && batch.stuck.length === 0 && endedAtMs !== null && !progress.expired) {
    enter(tools, batch, 'finalizing', endedAtMs);
    return;
  }
  const expiredAtMs = progress.expired ? (endedAtMs ?? nowMs) : batch.expiresAtMs;
  if (nowMs < expiredAtMs) return;
  await endOpenLines(tools, batch, 'expired');
  if (batch.status === 'in_progress') finish(tools, batch, 'expired', expiredAtMs);
}

async function validate(tools: BatchTools, batch: BatchRecord, atMs: number): Promise<void> {
  const { simulator } = tools;
  const config = simulator.config().batches;
  const endpoint = tools.endpointOf(batch.endpoint);
  const file = tools.files.find(batch.account, batch.inputFileId);
  if (file === null || endpoint === null) {
    const message = 'The input file was not found.';
    fail(tools, batch, [{ code: 'invalid_file', message, line: null, param: 'input_file_id' }], atMs);
    return;
  }
  const limited = config.enqueuedTokens !== null || Object.keys(config.modelEnqueuedTokens).length > 0;
  const lines = indexLines(file.path, config.maxRequests.openai);
  const found = await validateBatch(lines, {
    endpoint: batch.endpoint,
    maxLines: config.maxRequests.openai,
    serves: (model) => simulator.models().find('openai', model) !== null,
    promptTokensOf: !limited
      ? null
      : (body) => {
          const call = endpoint.read(body);
          return isVendorError(call) ? 0 : call.inputTokens;
        },
  });
  // It may have been cancelled while it was read.
  if (batch.status !== 'validating') {
    lines.close();
    return;
  }
  const { model, promptTokens, customIdsSha256 } = found;
  batch.model = model;
  const problems = [
    ...found.problems,
    ...orderedProblem(batch),
    ...enqueuedProblem(tools, batch.account, model, promptTokens),
  ];
  simulator.journal.note({
    event: 'batch.read',
    account: batch.account,
    batchId: batch.id,
    model,
    requests: lines.count,
    customIdsSha256,
  });
  if (problems.length > 0) {
    lines.close();
    fail(tools, batch, problems, atMs);
    return;
  }
  batch.lines = lines;
  batch.total = lines.count;
  batch.enqueuedTokens = promptTokens;
  enter(tools, batch, 'in_progress', atMs);
}

/** The problem that a fault orders. */
function orderedProblem(batch: BatchRecord): readonly BatchProblem[] {
  const fault = batchFault(batch.plan, 'batch_validation_failed');
  if (fault === null) return [];
  const code = fault.parameters['code'] ?? 'invalid_request';
  const message = fault.parameters['message'] ?? 'The input file could not be processed.';
  const line = fault.parameters['line'];
  return [{ code, message, line: line === undefined ? null : Number(line), param: null }];
}

function enqueuedProblem(
  tools: BatchTools,
  account: string,
  model: string | null,
  promptTokens: number,
): readonly BatchProblem[] {
  if (model === null) return [];
  const { enqueuedTokens, modelEnqueuedTokens } = tools.simulator.config().batches;
  const limit = modelEnqueuedTokens[model] ?? enqueuedTokens;
  if (limit === null || tools.enqueuedTokens(account, model) + promptTokens <= limit) return [];
  const message = `Enqueued token limit reached for ${model} in organization org-${account.slice(5)}. Limit: ${limit} enqueued tokens. Please try again once some in_progress batches have been completed.`;
  return [{ code: 'token_limit_exceeded', message, line: null, param: null }];
}

function fail(tools: BatchTools, batch: BatchRecord, problems: readonly BatchProblem[], atMs: number): void {
  batch.problems = problems;
  finish(tools, batch, 'failed', atMs);
}

function finish(tools: BatchTools, batch: BatchRecord, status: BatchStatus, atMs: number): void {
  publishOutput(batch, atMs);
  batch.enqueuedTokens = 0;
  enter(tools, batch, status, atMs);
  const { usage, results } = batch;
  tools.simulator.journal.note({
    event: 'batch.ended',
    dialect: 'openai',
    account: batch.account,
    batchId: batch.id,
    status,
    requests: batch.total,
    results: { ...results },
    inputTokens: usage.inputTokens,
    outputTokens: usage.outputTokens,
    billedUsd: usdText(batch.nanoUsd),
  });
  tools.onEnded(batch);
}

function enter(tools: BatchTools, batch: BatchRecord, status: BatchStatus, atMs: number): void {
  batch.status = status;
  batch.enteredAtMs[status] = atMs;
  tools.simulator.journal.note({
    event: 'batch.status',
    account: batch.account,
    batchId: batch.id,
    status,
  });
}
