import { crashPoint, hasDefect } from '@millrace/faults';
import type OpenAI from 'openai';
import { toStreamingFile } from 'openai';
import { z } from 'zod';
import { askVendor, expectShape, isNotFound, notYet } from '../batches/ask-vendor.ts';
import type { BatchVendor } from '../batches/ask-vendor.ts';
import type {
  BatchLineResult,
  BatchPort,
  BatchSubmission,
  ProviderBatch,
  SubmissionProgress,
} from '../batches/batch-port.ts';
import { cancelUnlessEnded } from '../batches/cancel-unless-ended.ts';
import { keepOwnError, STREAMED, writeLines } from '../batches/json-lines.ts';
import type { LineReading } from '../batches/line-result.ts';
import { readResults } from '../batches/read-results.ts';
import type { ProviderOptions } from '../provider-options.ts';
import { readOpenAILimits } from '../rate-limit-headers/observed-limits.ts';
import { endpointOfLine, readBatchLine, toBatchEndpoint, toBatchLine } from './batch-line.ts';
import { BATCH_ID_KEY, hasEnded, openAIBatchSchema, toProviderBatch } from './batch-object.ts';
import { createOpenAIClient } from './openai-client.ts';
import { explainOpenAIError } from './openai-errors.ts';

const ASK = { timeout: 60_000 };
/** 200 MB over a slow line. */
const UPLOAD_TIMEOUT_MS = 30 * 60_000;
/** Input files hold prompts, and nobody needs them once the batch's 24 h are over. */
const INPUT_FILE_LIFE_SECONDS = 3 * 24 * 3600;
/**
 * Output and error files are deleted once they are read; a deletion that failed for good leaves them here so long. A scheduler that was
 * away for days still reads them.
 */
const OUTPUT_FILE_LIFE_SECONDS = 7 * 24 * 3600;
/** How long after its end a batch may go without the files that its counts promise. */
const LATE_FILES_MS = 3_600_000;
/** How far the vendor's clock may be behind ours. */
const CLOCK_SKEW_MS = 5 * 60_000;

const fileSchema = z.object({ id: z.string().min(1) });

/** OpenAI's Batch API for the Responses and the Embeddings endpoint: a file goes up, a batch is created of it, files come down. */
export function createOpenAIBatchPort(
  options: ProviderOptions,
  reading: LineReading,
  now: () => number,
): BatchPort {
  const client = createOpenAIClient(options);
  const vendor: BatchVendor = {
    provider: options.name,
    requestIdHeader: 'x-request-id',
    now,
    readLimits: readOpenAILimits,
    explain: explainOpenAIError,
  };
  const toBatch = (value: unknown) => toProviderBatch(expectShape(vendor, openAIBatchSchema, value));
  const retrieve = async (providerBatchId: string) =>
    toBatch(await askVendor(vendor, null, () => client.batches.retrieve(providerBatchId, ASK)));
  return {
    // 50,000 lines or texts to embed, and 200 MB (guide "Batch API"); the megabytes are taken as the smaller ones.
    limits: { maxRequests: 50_000, maxBytes: 200_000_000, maxEmbeddingInputs: 50_000, oneModel: true },
    refuse: (call) =>
      call.serviceTier === 'priority' ? 'OpenAI does not serve the priority tier in batches' : null,
    toLine: toBatchLine,
    submit: (submission, progress) => submit(client, vendor, submission, progress).then(toBatch),
    find: (wanted) => find(client, vendor, wanted),
    retrieve,
    cancel: (providerBatchId) =>
      cancelUnlessEnded(
        () => askVendor(vendor, null, () => client.batches.cancel(providerBatchId, ASK)),
        async () => hasEnded((await retrieve(providerBatchId)).phase),
      ),
    results: (batch, signal) => results(client, vendor, reading, batch, signal),
    discard: (batch) => discard(client, vendor, batch),
  };
}

async function submit(
  client: OpenAI,
  vendor: BatchVendor,
  submission: BatchSubmission,
  progress: SubmissionProgress,
): Promise<unknown> {
  const { batchId, signal } = submission;
  let inputFileId = await findUploaded(client, vendor, submission);
  let endpoint = toBatchEndpoint(submission.handles['endpoint']);
  if (inputFileId === null) {
    const first = noteFirst(submission.lines);
    inputFileId = await upload(client, vendor, { ...submission, lines: first.lines });
    endpoint = endpointOfLine(first.line());
    crashPoint('batch.uploaded', batchId);
    // What the lines were for must be known after a crash, as they are not read again.
    await progress.onUploaded({ inputFileId, ...(endpoint === '/v1/responses' ? {} : { endpoint }) });
  }
  const input_file_id = inputFileId;
  return askVendor(vendor, signal, () =>
    client.batches.create(
      {
        input_file_id,
        endpoint,
        completion_window: '24h',
        metadata: { [BATCH_ID_KEY]: batchId },
        output_expires_after: { anchor: 'created_at', seconds: OUTPUT_FILE_LIFE_SECONDS },
      },
      { ...ASK, signal },
    ),
  );
}

/** The same lines, and the first of them once it has passed. */
function noteFirst(lines: AsyncIterable<string>): { lines: AsyncIterable<string>; line(): string } {
  let first = '';
  async function* watched(): AsyncGenerator<string, void, undefined> {
    for await (const line of lines) {
      if (first === '') first = line;
      yield line;
    }
  }
  return { lines: watched(), line: () => first };
}

/** The file of an earlier try, if the vendor still has it. */
async function findUploaded(
  client: OpenAI,
  vendor: BatchVendor,
  { handles, signal }: BatchSubmission,
): Promise<string | null> {
  const known = handles['inputFileId'];
  if (known === undefined) return null;
  try {
    await askVendor(vendor, signal, () => client.files.retrieve(known, { ...ASK, signal }));
    return known;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** Streams the lines as a multipart file: what is in memory is a few chunks, whatever the size. */
async function upload(
  client: OpenAI,
  vendor: BatchVendor,
  { batchId, lines, signal }: BatchSubmission,
): Promise<string> {
  const source = keepOwnError(lines);
  const bytes = writeLines(source.lines, { before: '', between: '\n', after: '\n' });
  const file: unknown = await source.orOwnError(
    askVendor(vendor, signal, () =>
      client.files.create(
        {
          file: toStreamingFile(bytes, `${batchId}.jsonl`, { type: 'application/jsonl' }),
          purpose: 'batch',
          expires_after: { anchor: 'created_at', seconds: INPUT_FILE_LIFE_SECONDS },
        },
        { timeout: UPLOAD_TIMEOUT_MS, signal, fetchOptions: STREAMED },
      ),
    ),
  );
  return expectShape(vendor, fileSchema, file).id;
}

/** The list is newest first, so that it ends where the wanted batch cannot be any more. */
async function find(
  client: OpenAI,
  vendor: BatchVendor,
  wanted: { batchId: string; since: number },
): Promise<{ batch: ProviderBatch; certain: boolean }[]> {
  const found: { batch: ProviderBatch; certain: boolean }[] = [];
  await askVendor(vendor, null, async () => {
    for await (const listed of client.batches.list({ limit: 100 }, ASK)) {
      const batch = expectShape(vendor, openAIBatchSchema, listed);
      if (batch.created_at * 1000 < wanted.since - CLOCK_SKEW_MS) break;
      if (batch.metadata?.[BATCH_ID_KEY] === wanted.batchId) {
        found.push({ batch: toProviderBatch(batch), certain: true });
      }
    }
  });
  return found;
}

async function* results(
  client: OpenAI,
  vendor: BatchVendor,
  reading: LineReading,
  batch: ProviderBatch,
  signal: AbortSignal,
): AsyncGenerator<BatchLineResult, void, undefined> {
  const isLate = batch.endedAt === null || vendor.now() - batch.endedAt < LATE_FILES_MS;
  if (isLate && missesFile(batch)) throw notYet(vendor, 'the result files are not there yet');
  const { outputFileId, errorFileId } = batch.handles;
  for (const fileId of [outputFileId, hasDefect('skip-error-file') ? undefined : errorFileId]) {
    if (fileId === undefined) continue;
    yield* readResults(vendor, signal, (line) => readBatchLine(reading, line), {
      isLate,
      open: () => client.files.content(fileId, { ...ASK, signal }).asResponse(),
    });
  }
}

/**
 * Whether the counts promise a file that the batch does not name (seen for a while after `completed`). A batch that expired
 * or was cancelled counts lines as failed of which no file tells.
 */
function missesFile({ phase, counts, handles }: ProviderBatch): boolean {
  if (phase === 'failed') return false;
  const hasOutput = 'outputFileId' in handles;
  const hasErrors = 'errorFileId' in handles;
  if (counts === null) return phase === 'completed' && !hasOutput && !hasErrors;
  if (counts.completed > 0 && !hasOutput) return true;
  return phase === 'completed' && counts.failed > 0 && !hasErrors;
}

/** Deletes all that can be deleted before it tells of the first that could not. */
async function discard(client: OpenAI, vendor: BatchVendor, { handles }: ProviderBatch): Promise<void> {
  const outcomes = await Promise.allSettled(
    [handles['inputFileId'], handles['outputFileId'], handles['errorFileId']]
      .filter((fileId) => fileId !== undefined)
      .map((fileId) => askVendor(vendor, null, () => client.files.delete(fileId, ASK))),
  );
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected' && !isNotFound(outcome.reason)) throw outcome.reason;
  }
}
