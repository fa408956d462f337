import type Anthropic from '@anthropic-ai/sdk';
import { TerminalError } from '@millrace/contracts';
import { z } from 'zod';
import { askVendor, expectShape, isNotFound, notYet } from '../batches/ask-vendor.ts';
import type { BatchVendor } from '../batches/ask-vendor.ts';
import type { BatchPort, BatchSubmission, ProviderBatch } from '../batches/batch-port.ts';
import { cancelUnlessEnded } from '../batches/cancel-unless-ended.ts';
import { keepOwnError, STREAMED, writeLines } from '../batches/json-lines.ts';
import type { LineReading } from '../batches/line-result.ts';
import { readResults } from '../batches/read-results.ts';
import type { ProviderCall } from '../provider.ts';
import type { ProviderOptions } from '../provider-options.ts';
import { readAnthropicLimits } from '../rate-limit-headers/observed-limits.ts';
import { createAnthropicClient } from './anthropic-client.ts';
import { explainAnthropicError } from './anthropic-errors.ts';
import { readBatchResult, toBatchRequest } from './batch-line.ts';
import { messageBatchSchema, requestsOf, toProviderBatch } from './batch-object.ts';

const ASK = { timeout: 60_000 };
/** 256 MB over a slow line. */
const UPLOAD_TIMEOUT_MS = 30 * 60_000;
/** How far the vendor's clock may be behind ours. */
const CLOCK_SKEW_MS = 5 * 60_000;

/**
 * Anthropic's Message Batches: the requests stand in the body of one POST, which is streamed. The vendor keeps nothing of
 * ours on the batch, so that a lost id is found by time and size, and proven by the results once it has ended.
 */
export function createAnthropicBatchPort(
  options: ProviderOptions,
  reading: LineReading,
  now: () => number,
): BatchPort {
  const client = createAnthropicClient(options);
  const vendor: BatchVendor = {
    provider: options.name,
    requestIdHeader: 'request-id',
    now,
    readLimits: (headers) => readAnthropicLimits(headers, now()),
    explain: explainAnthropicError,
  };
  const retrieve = async (providerBatchId: string) => {
    const batch: unknown = await askVendor(vendor, null, () =>
      client.messages.batches.retrieve(providerBatchId, {}, ASK),
    );
    return toProviderBatch(expectShape(vendor, messageBatchSchema, batch));
  };
  const results = (batch: ProviderBatch, signal: AbortSignal) =>
    readBatchResults(client, vendor, reading, batch, signal);
  return {
    // 100,000 requests or 256 MB (guide "Batch processing"), less what stands around the lines.
    limits: { maxRequests: 100_000, maxBytes: 255_000_000, oneModel: false },
    refuse,
    toLine: toBatchRequest,
    submit: async (submission) =>
      toProviderBatch(expectShape(vendor, messageBatchSchema, await create(client, vendor, submission))),
    find: (wanted) => find(client, vendor, results, wanted),
    retrieve,
    cancel: (providerBatchId) =>
      cancelUnlessEnded(
        () => askVendor(vendor, null, () => client.messages.batches.cancel(providerBatchId, {}, ASK)),
        async () => (await retrieve(providerBatchId)).endedAt !== null,
      ),
    results,
    discard: async (batch) => {
      try {
        await askVendor(vendor, null, () => client.messages.batches.delete(batch.providerBatchId, {}, ASK));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
}

/** The vendor checks requests only when it works on them, up to a day later. */
function refuse(call: ProviderCall): string | null {
  if (call.embedding) return 'Anthropic has no embeddings';
  if (call.maxOutputTokens < 1) return 'Anthropic refuses max_tokens of 0 in batches';
  return call.messages.length === 0 ? 'Anthropic refuses a request without messages' : null;
}

/**
 * The SDK's own `create` takes the requests as one array; its general request takes a stream and sends it once, as it is
 * read: what is in memory is a few chunks, whatever the size.
 */
function create(
  client: Anthropic,
  vendor: BatchVendor,
  { lines, signal }: BatchSubmission,
): Promise<unknown> {
  const source = keepOwnError(lines);
  const bytes = writeLines(source.lines, { before: '{"requests":[', between: ',', after: ']}' });
  return source.orOwnError(
    askVendor(vendor, signal, () =>
      client.post<unknown>('/v1/messages/batches', {
        body: ReadableStream.from(bytes),
        headers: { 'content-type': 'application/json' },
        timeout: UPLOAD_TIMEOUT_MS,
        signal,
        fetchOptions: STREAMED,
      }),
    ),
  );
}

async function* readBatchResults(
  client: Anthropic,
  vendor: BatchVendor,
  reading: LineReading,
  batch: ProviderBatch,
  signal: AbortSignal,
) {
  // The vendor asks to take the address from the batch and not to build it.
  const resultsUrl = batch.handles['resultsUrl'];
  if (resultsUrl === undefined) throw notYet(vendor, 'the results are not there yet');
  yield* readResults(vendor, signal, (line) => readBatchResult(reading, line), {
    isLate: false,
    open: () =>
      client
        .get(resultsUrl, {
          ...ASK,
          signal,
          headers: { accept: 'application/binary' },
          __binaryResponse: true,
        })
        .asResponse(),
  });
}

const pageSchema = z.object({
  data: z.array(messageBatchSchema),
  has_more: z.boolean().nullish(),
  last_id: z.string().nullish(),
});

/** Newest first, within time and size. The results of an ended batch prove whose it is: another one's is left out. */
async function find(
  client: Anthropic,
  vendor: BatchVendor,
  results: BatchPort['results'],
  wanted: { batchId: string; lineCount: number; since: number },
): Promise<{ batch: ProviderBatch; certain: boolean }[]> {
  const found: { batch: ProviderBatch; certain: boolean }[] = [];
  const earliestAt = wanted.since - CLOCK_SKEW_MS;
  let after: string | undefined;
  for (;;) {
    const query = { limit: 100, ...(after === undefined ? {} : { after_id: after }) };
    const answer: unknown = await askVendor(vendor, null, () =>
      client.get<unknown>('/v1/messages/batches', { query, ...ASK }),
    );
    const page = expectShape(vendor, pageSchema, answer);
    for (const listed of page.data) {
      const batch = toProviderBatch(listed);
      if (batch.createdAt < earliestAt) return found;
      if (requestsOf(listed) !== wanted.lineCount) continue;
      const isOurs = await proveOwner(results, batch, wanted.batchId);
      if (isOurs !== false) found.push({ batch, certain: isOurs === true });
    }
    if (page.has_more !== true || !page.last_id) return found;
    after = page.last_id;
  }
}

/** Whether the first result carries our batch id; null while there is no result that tells. */
async function proveOwner(
  results: BatchPort['results'],
  batch: ProviderBatch,
  batchId: string,
): Promise<boolean | null> {
  if (!('resultsUrl' in batch.handles)) return null;
  try {
    for await (const { customId } of results(batch, new AbortController().signal)) {
      return customId.startsWith(batchId);
    }
  } catch (error) {
    // Of a batch whose results have vanished nobody will ever tell; the search must not end with it.
    if (!(error instanceof TerminalError)) throw error;
  }
  return null;
}
