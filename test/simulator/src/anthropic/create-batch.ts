import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { planBatch } from '../batches/batch-plan.ts';
import { createBreather } from '../batches/breather.ts';
import { hashIds } from '../batches/hash-ids.ts';
import { indexLines } from '../batches/line-index.ts';
import { acceptExchange, type Exchange } from '../http/exchange.ts';
import { keyProblem, notJsonError, tooLargeError } from '../http/key-check.ts';
import { sendError, sendJson } from '../http/send-answer.ts';
import { applyFault } from '../http/serve-json.ts';
import { vendorError, type VendorError } from '../http/vendor-error.ts';
import { isObject, objectOf, parseJson, stringOf } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';
import { batchObject, type MessageBatch } from './batch-record.ts';
import type { MessageBatchStore } from './batch-store.ts';
import { createRequestSplitter } from './request-splitter.ts';

const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** `POST /v1/messages/batches`: envelope and ids are checked now, the requests only when they are worked on. */
export async function createBatch(
  simulator: Simulator,
  store: MessageBatchStore,
  exchange: Exchange,
): Promise<void> {
  const id = simulator.nextId('msgbatch_01');
  const upload = await receiveRequests(simulator, exchange, id);
  if (upload === null) return;
  const received = { text: '', bytes: upload.bytes, sha256: upload.sha256 };
  acceptExchange(simulator, exchange, received, null);
  const problem =
    keyProblem(simulator, exchange) ?? upload.problem ?? queueProblem(simulator, store, exchange, upload);
  const fault = problem === null ? await applyFault(simulator, exchange, received, null) : null;
  if (problem !== null || fault === 'answered') {
    rmSync(upload.path, { force: true });
    if (problem !== null) sendError(simulator, exchange, problem);
    return;
  }
  const batch = newBatch(simulator, exchange, id, upload);
  store.add(batch);
  const { account } = batch;
  simulator.journal.note({
    event: 'batch.created',
    dialect: 'anthropic',
    account,
    batchId: id,
    inputFileId: null,
    contentSha256: upload.sha256,
    metadata: null,
  });
  simulator.journal.note({
    event: 'batch.read',
    account,
    batchId: id,
    model: batch.model,
    requests: batch.requests,
    customIdsSha256: hashIds(upload.customIds),
  });
  sendJson(simulator, exchange, 200, batchObject(batch, exchange.baseUrl, simulator.clock.nowMs()));
}

interface RequestUpload {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly model: string | null;
  readonly customIds: ReadonlySet<string>;
  readonly problem: VendorError | null;
}

/** Writes the requests to disk as they arrive, one a line; `null` when the client went away. */
async function receiveRequests(
  simulator: Simulator,
  exchange: Exchange,
  id: string,
): Promise<RequestUpload | null> {
  const maxRequests = simulator.config().batches.maxRequests.anthropic;
  const file = simulator.scratch.write(`${id}_requests.jsonl`);
  const customIds = new Set<string>();
  const hash = createHash('sha256');
  const breathe = createBreather();
  let bytes = 0;
  let count = 0;
  let model: string | null = null;
  let problem: VendorError | null = null;
  const splitter = createRequestSplitter((json) => {
    const request = parseJson(json);
    problem ??= requestProblem(request, count, customIds);
    count += 1;
    if (problem !== null || count > maxRequests) return;
    model ??= stringOf(objectOf(objectOf(request)['params'])['model']);
    // Written anew, so that it stands on one line.
    file.write(`${JSON.stringify(request)}\n`);
  });
  try {
    for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) continue;
      hash.update(chunk);
      splitter.feed(chunk);
      await breathe();
    }
  } catch {
    file.close();
    rmSync(file.path, { force: true });
    return null;
  }
  file.close();
  const whole = splitter.finish();
  return {
    path: file.path,
    bytes,
    sha256: hash.digest('hex'),
    model,
    customIds,
    problem:
      bytes > MAX_BODY_BYTES
        ? tooLargeError('anthropic', MAX_BODY_BYTES)
        : !whole
          ? notJsonError('anthropic')
          : (envelopeProblem(splitter.others, count, maxRequests) ?? problem),
  };
}

function invalid(message: string): VendorError {
  return vendorError(400, 'invalid_request_error', message);
}

function envelopeProblem(others: readonly string[], count: number, maxRequests: number): VendorError | null {
  if (others.length > 0) return invalid(`${others[0] ?? ''}: Extra inputs are not permitted`);
  if (count === 0) return invalid('requests: List should have at least 1 item after validation');
  return count > maxRequests
    ? invalid(`requests: List should have at most ${maxRequests} items after validation`)
    : null;
}

function requestProblem(request: unknown, index: number, seen: Set<string>): VendorError | null {
  if (request === undefined) return notJsonError('anthropic');
  const customId = stringOf(objectOf(request)['custom_id']);
  if (customId === null || !/^[A-Za-z0-9_-]{1,64}$/.test(customId)) {
    return invalid(`requests.${index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`);
  }
  if (seen.has(customId)) return invalid(`requests.${index}.custom_id: duplicate custom_id '${customId}'`);
  if (!isObject(objectOf(request)['params'])) return invalid(`requests.${index}.params: Field required`);
  seen.add(customId);
  return null;
}

/** Requests of batches that have not ended stand in one queue of the account. */
function queueProblem(
  simulator: Simulator,
  store: MessageBatchStore,
  exchange: Exchange,
  upload: RequestUpload,
): VendorError | null {
  const { queuedRequests } = simulator.config().batches;
  const queued = store
    .list(exchange.account)
    .reduce((sum, batch) => sum + (batch.endedAtMs === null ? batch.requests - batch.done : 0), 0);
  if (queuedRequests === null || queued + upload.customIds.size <= queuedRequests) return null;
  const message = `This request would exceed your organization's limit of ${queuedRequests} batch requests in the processing queue.`;
  return vendorError(429, 'rate_limit_error', message, { retryAfterMs: 60_000 });
}

function newBatch(simulator: Simulator, exchange: Exchange, id: string, upload: RequestUpload): MessageBatch {
  const config = simulator.config().batches;
  const createdAtMs = simulator.clock.nowMs();
  const faults = simulator.faults.chooseForBatch({
    dialect: 'anthropic',
    path: exchange.path,
    method: exchange.method,
    model: upload.model,
    account: exchange.account,
    promptText: '',
    markers: [],
    countBy: '',
  });
  return {
    id,
    account: exchange.account,
    version: String(exchange.request.headers['anthropic-version']),
    model: upload.model,
    requests: upload.customIds.size,
    createdAtMs,
    expiresAtMs: createdAtMs + config.windowMs,
    archivedAtMs: createdAtMs + config.resultsMs,
    plan: planBatch(faults, config, simulator.random),
    lines: indexLines(upload.path, upload.customIds.size),
    cancelInitiatedAtMs: null,
    endedAtMs: null,
    done: 0,
    stuck: [],
    counts: { succeeded: 0, errored: 0, stuck: 0, expired: 0, canceled: 0 },
    usage: { inputTokens: 0, outputTokens: 0 },
    nanoUsd: 0,
    results: simulator.scratch.write(`${id}_results.jsonl`),
    resultBytes: 0,
    missingUntilMs: null,
    unnamed: false,
  };
}
