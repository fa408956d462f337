import { createOneAtATime } from '../../batches/one-at-a-time.ts';
import type { LineEndpoint } from '../../batches/run-batch-line.ts';
import { noTokens } from '../../billing/bill.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { Route } from '../../http/routes.ts';
import { serveJson, type JsonHandler } from '../../http/serve-json.ts';
import { vendorError, type VendorError } from '../../http/vendor-error.ts';
import { objectOf, stringOf } from '../../json-value.ts';
import type { Simulator } from '../../simulator.ts';
import { readEmbeddings, writeEmbeddings } from '../embeddings-endpoint.ts';
import type { FileStore } from '../file-store.ts';
import { pageOf } from '../page.ts';
import { readChat } from '../read-chat.ts';
import { readResponses } from '../read-responses.ts';
import { invalid, metadataProblem } from '../request-checks.ts';
import { writeChat } from '../write-chat.ts';
import { writeResponses } from '../write-responses.ts';
import { advanceBatch, cancelBatch, type BatchTools } from './advance-batch.ts';
import { batchObject, type BatchRecord } from './batch-record.ts';

/** `/v1/batches` and what is below it. */
export function batchRoutes(
  simulator: Simulator,
  files: FileStore,
): { routes: readonly Route[]; stop: () => void } {
  const batches = new Map<string, BatchRecord>();
  const inTurn = createOneAtATime();
  const tools: BatchTools = { simulator, files, endpointOf: (endpoint) => endpointOf(simulator, endpoint) };
  const route = (method: string, path: string, handler: JsonHandler): Route => ({
    dialect: 'openai',
    method,
    path: `/batches${path}`,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });

  async function find(exchange: Exchange): Promise<BatchRecord | null> {
    const batch = batches.get(exchange.parameters[0] ?? '');
    if (batch === undefined || batch.account !== exchange.account) return null;
    await inTurn(() => advanceBatch(tools, batch));
    return batch;
  }
  const createBatch: JsonHandler = (_simulator, exchange, body) => {
    const batch = readBatch(simulator, files, exchange, body);
    if ('html' in batch) return batch;
    batches.set(batch.id, batch);
    return batchObject(batch);
  };
  const listBatches: JsonHandler = async (_simulator, exchange) => {
    const own = [...batches.values()].filter((batch) => batch.account === exchange.account).reverse();
    for (const batch of own) await inTurn(() => advanceBatch(tools, batch));
    return pageOf(own.map(batchObject), exchange.query);
  };
  const getBatch: JsonHandler = async (_simulator, exchange) => {
    const batch = await find(exchange);
    return batch === null ? notFound(exchange) : batchObject(batch);
  };
  const cancel: JsonHandler = async (_simulator, exchange) => {
    const batch = await find(exchange);
    if (batch === null) return notFound(exchange);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
      return invalid(`Cannot cancel a batch with status '${batch.status}'.`, null);
    }
    cancelBatch(batch, simulator.clock.nowMs());
    return batchObject(batch);
  };
  return {
    routes: [
      route('POST', '', createBatch),
      route('GET', '', listBatches),
      route('GET', '/{id}', getBatch),
      route('POST', '/{id}/cancel', cancel),
    ],
    stop() {
      for (const batch of batches.values()) {
        batch.output?.discard();
        batch.errors?.discard();
        if (['in_progress', 'finalizing', 'cancelling'].includes(batch.status)) batch.lines?.close();
      }
    },
  };
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
  return {
    id: simulator.nextId('batch_'),
    account: exchange.account,
    endpoint,
    inputFileId,
    metadata: fields['metadata'] ?? null,
    createdAtMs: simulator.clock.nowMs(),
    status: 'validating',
    enteredAtMs: {},
    model: null,
    problems: [],
    lines: null,
    done: 0,
    completed: 0,
    failed: 0,
    stuck: [],
    usage: noTokens(),
    output: null,
    errors: null,
    outputFileId: null,
    errorFileId: null,
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
