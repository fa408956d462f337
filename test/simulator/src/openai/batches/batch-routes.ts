import { planBatch } from '../../batches/batch-plan.ts';
import type { RunningBatch } from '../../batches/batch-runner.ts';
import { firstLineOf } from '../../batches/line-index.ts';
import type { LineEndpoint } from '../../batches/run-batch-line.ts';
import { noTokens, usdText } from '../../billing/bill.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { Route } from '../../http/routes.ts';
import { serveJson, type JsonHandler } from '../../http/serve-json.ts';
import { vendorError, type VendorError } from '../../http/vendor-error.ts';
import { numberOf, objectOf, parseJson, stringOf } from '../../json-value.ts';
import type { Simulator } from '../../simulator.ts';
import { readEmbeddings, writeEmbeddings } from '../embeddings-endpoint.ts';
import type { FileStore, StoredFile } from '../file-store.ts';
import { pageOf } from '../page.ts';
import { readChat } from '../read-chat.ts';
import { readResponses } from '../read-responses.ts';
import { invalid, metadataProblem } from '../request-checks.ts';
import { writeChat } from '../write-chat.ts';
import { writeResponses } from '../write-responses.ts';
import { advanceBatch, cancelBatch, type BatchTools } from './advance-batch.ts';
import { sendBatchWebhook } from './batch-webhooks.ts';
import { batchObject, hasEnded, type BatchRecord } from './batch-record.ts';

/** `/v1/batches` and what is below it. */
export function batchRoutes(simulator: Simulator, files: FileStore): readonly Route[] {
  const batches = new Map<string, BatchRecord>();
  const ownOf = (account: string): readonly BatchRecord[] =>
    [...batches.values()].filter((batch) => batch.account === account);
  const tools: BatchTools = {
    simulator,
    files,
    endpointOf: (endpoint) => endpointOf(simulator, endpoint),
    enqueuedTokens: (account, model) =>
      ownOf(account).reduce((sum, batch) => sum + (batch.model === model ? batch.enqueuedTokens : 0), 0),
    onEnded: (batch) => void sendBatchWebhook(simulator, batch),
  };
  const route = (method: string, path: string, handler: JsonHandler): Route => ({
    dialect: 'openai',
    method,
    path: `/batches${path}`,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });
  const shown = (batch: BatchRecord): ReturnType<typeof batchObject> =>
    batchObject(batch, simulator.clock.nowMs());

  async function find(exchange: Exchange): Promise<BatchRecord | null> {
    const batch = batches.get(exchange.parameters[0] ?? '');
    if (batch === undefined || batch.account !== exchange.account) return null;
    await simulator.batches.touch(batch.id);
    return batch;
  }
  const createBatch: JsonHandler = (_simulator, exchange, body) => {
    const hourAgoMs = simulator.clock.nowMs() - 3_600_000;
    const recent = ownOf(exchange.account).filter((batch) => batch.createdAtMs > hourAgoMs).length;
    const { createdPerHour } = simulator.config().batches;
    if (createdPerHour !== null && recent >= createdPerHour) return tooManyBatches(createdPerHour);
    const batch = readBatch(simulator, files, exchange, body);
    if ('html' in batch) return batch;
    batches.set(batch.id, batch);
    simulator.batches.add(runningBatch(tools, batch));
    simulator.journal.note({
      event: 'batch.created',
      dialect: 'openai',
      account: batch.account,
      batchId: batch.id,
      inputFileId: batch.inputFileId,
      contentSha256: files.find(batch.account, batch.inputFileId)?.sha256 ?? '',
      metadata: batch.metadata,
    });
    return shown(batch);
  };
  const listBatches: JsonHandler = async (_simulator, exchange) => {
    const own = [...ownOf(exchange.account)].reverse();
    await Promise.all(own.map((batch) => simulator.batches.touch(batch.id)));
    return pageOf(own.map(shown), exchange.query, { usual: 20, most: 100 });
  };
  const getBatch: JsonHandler = async (_simulator, exchange) => {
    const batch = await find(exchange);
    return batch === null ? notFound(exchange) : shown(batch);
  };
  const cancel: JsonHandler = async (_simulator, exchange) => {
    const batch = await find(exchange);
    if (batch === null) return notFound(exchange);
    if (hasEnded(batch)) return invalid(`Cannot cancel a batch with status '${batch.status}'.`, null);
    cancelBatch(tools, batch, simulator.clock.nowMs());
    return shown(batch);
  };
  return [
    route('POST', '', createBatch),
    route('GET', '', listBatches),
    route('GET', '/{id}', getBatch),
    route('POST', '/{id}/cancel', cancel),
  ];
}

function runningBatch(tools: BatchTools, batch: BatchRecord): RunningBatch {
  return {
    id: batch.id,
    account: batch.account,
    advance: () => advanceBatch(tools, batch),
    ended: () => hasEnded(batch),
    release() {
      batch.lines?.close();
      batch.output?.discard();
      batch.errors?.discard();
    },
    describe: () => ({
      id: batch.id,
      dialect: 'openai',
      account: batch.account,
      status: batch.status,
      model: batch.model,
      requests: batch.total,
      results: batch.results,
      metadata: batch.metadata,
      faults: batch.plan.faults.map((fault) => fault.kind),
      billed_usd: usdText(batch.nanoUsd),
    }),
  };
}

function tooManyBatches(perHour: number): VendorError {
  const message = `Rate limit reached: at most ${perHour} batches can be created per hour.`;
  return vendorError(429, 'requests', message, { code: 'rate_limit_exceeded', retryAfterMs: 60_000 });
}

/** The model of a file's first line: what a fault for batches of a model goes by. */
function firstModelOf(file: StoredFile): string | null {
  const first = objectOf(parseJson(firstLineOf(file.path)));
  return stringOf(objectOf(first['body'])['model']);
}

function readBatch(
  simulator: Simulator,
  files: FileStore,
  exchange: Exchange,
  body: unknown,
): BatchRecord | VendorError {
  const fields = objectOf(body);
  const endpoint = stringOf(fields['endpoint']);
  if (endpoint === null || endpointOf(simulator, endpoint) === null) {
    return invalid(
      `Invalid value: '${String(endpoint)}'. Supported values are: '/v1/chat/completions', '/v1/responses' and '/v1/embeddings'.`,
      'endpoint',
      'invalid_value',
    );
  }
  if (fields['completion_window'] !== '24h') {
    return invalid(
      "Invalid value for 'completion_window': supported values are: '24h'.",
      'completion_window',
      'invalid_value',
    );
  }
  const problem = metadataProblem(fields);
  if (problem !== null) return problem;
  const inputFileId = stringOf(fields['input_file_id']) ?? '';
  const file = files.find(exchange.account, inputFileId);
  if (file === null)
    return invalid(`Invalid 'input_file_id': no such file: ${inputFileId}`, 'input_file_id', 'invalid_value');
  if (file.purpose !== 'batch')
    return invalid(
      "Invalid 'input_file_id': the file's purpose must be 'batch'.",
      'input_file_id',
      'invalid_value',
    );
  const lifeSeconds = numberOf(objectOf(fields['output_expires_after'])['seconds']);
  if (lifeSeconds !== null && (lifeSeconds < 3_600 || lifeSeconds > 2_592_000)) {
    const message = "Invalid 'output_expires_after.seconds': expected a value between 3600 and 2592000.";
    return invalid(message, 'output_expires_after.seconds', 'invalid_value');
  }
  const config = simulator.config().batches;
  const faults = simulator.faults.chooseForBatch({
    dialect: 'openai',
    path: exchange.path,
    method: exchange.method,
    model: firstModelOf(file),
    account: exchange.account,
    promptText: '',
    markers: [],
    countBy: '',
  });
  const createdAtMs = simulator.clock.nowMs();
  return {
    id: simulator.nextId('batch_'),
    account: exchange.account,
    endpoint,
    inputFileId,
    metadata: fields['metadata'] ?? null,
    createdAtMs,
    expiresAtMs: createdAtMs + config.windowMs,
    outputLifeMs: lifeSeconds === null ? null : lifeSeconds * 1_000,
    plan: planBatch(faults, config, simulator.random),
    status: 'validating',
    enteredAtMs: {},
    model: null,
    problems: [],
    enqueuedTokens: 0,
    lines: null,
    total: 0,
    done: 0,
    results: { succeeded: 0, errored: 0, stuck: 0, expired: 0, canceled: 0 },
    stuck: [],
    usage: noTokens(),
    nanoUsd: 0,
    output: null,
    errors: null,
    outputFileId: null,
    errorFileId: null,
    outputNamedAtMs: 0,
  };
}

/** How lines for an endpoint are read and written, or null for one that batches do not serve here. */
function endpointOf(simulator: Simulator, endpoint: string): LineEndpoint | null {
  switch (endpoint) {
    case '/v1/chat/completions':
      return {
        read: (body) => readChat(body, simulator),
        write: (call, answer) => writeChat(call, answer, simulator),
      };
    case '/v1/responses':
      return {
        read: (body) => readResponses(body, simulator),
        write: (call, answer) => writeResponses(call, answer, simulator, () => undefined),
      };
    case '/v1/embeddings':
      return { read: (body) => readEmbeddings(body, simulator), write: writeEmbeddings };
    default:
      return null;
  }
}

function notFound(exchange: Exchange): VendorError {
  return vendorError(
    404,
    'invalid_request_error',
    `No batch found with id '${exchange.parameters[0] ?? ''}'.`,
  );
}
