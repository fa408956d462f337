import { setImmediate } from 'node:timers/promises';
import type { BlobStore } from '@millrace/blobs';
import { createId } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { beginClientFinalizing, finishClientBatch, readClientResults } from '@millrace/ledger';
import type { ClientBatch, ClientBatchUsage, ClientLineResult, Database } from '@millrace/ledger';
import { customIdOf } from './read-line.ts';
import { readLines } from './read-lines.ts';
import { createSettingsReader } from './response-settings.ts';
import { isAnswered, toMissedLine, toResultLine } from './result-line.ts';
import { Interrupted } from './validate-batch.ts';

/** What writing the results needs. */
export interface WriteResultsOptions {
  database: Database;
  blobs: BlobStore;
  maxLineBytes: number;
  mayGoOn: () => boolean;
}

/** As OpenAI's, unless the batch says otherwise. */
const FILE_LIFE_SECONDS = 30 * 86_400;
const LINES_AT_A_TIME = 200;
/** What is written between two turns that this process's other work gets. */
const BYTES_AT_A_TIME = 256 * 1024;

/**
 * Writes the output and error files of a batch none of whose lines is open, and ends it. Whoever does it again after a crash
 * writes the same contents to the same places. Streams: it holds some lines at a time. Returns the batch's final state and
 * the webhooks to deliver, null when it had ended. Throws BlobStoreUnavailable, LedgerUnavailable, Interrupted.
 */
export async function writeResults(
  batch: ClientBatch,
  options: WriteResultsOptions,
): Promise<{ status: string; deliveryIds: string[] } | null> {
  const { database, blobs } = options;
  const files = await beginClientFinalizing(database, batch.id, {
    outputFileId: createId('file'),
    errorFileId: createId('file'),
  });
  if (!files) return null;
  crashPoint('client-batch.finalizing', batch.id);

  const tally = newTally();
  const output = await writeLines(blobs, files.outputFileId, outputLines(batch, options));
  const errors = await writeLines(blobs, files.errorFileId, errorLines(batch, options, tally));
  crashPoint('client-batch.results-written', batch.id);

  const ended = await finishClientBatch(database, {
    batchId: batch.id,
    ...tally,
    output,
    errors,
    fileLifeSeconds: FILE_LIFE_SECONDS,
  });
  crashPoint('client-batch.ended', batch.id);
  return ended;
}

/** What the lines come to, counted while they are read for the error file. */
interface Tally {
  completed: number;
  failed: number;
  expired: number;
  usage: ClientBatchUsage;
}

function newTally(): Tally {
  const usage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, reasoningTokens: 0 };
  return { completed: 0, failed: 0, expired: 0, usage };
}

/** Null when there is no line: then no file is made. */
async function writeLines(
  blobs: BlobStore,
  fileId: string,
  pieces: AsyncGenerator<string, void>,
): Promise<{ id: string; bytes: number } | null> {
  const first = await pieces.next();
  if (first.done) return null;
  async function* bytes(piece: string): AsyncIterable<Uint8Array> {
    yield Buffer.from(piece);
    let written = 0;
    for await (const each of pieces) {
      const content = Buffer.from(each);
      yield content;
      written += content.length;
      if (written < BYTES_AT_A_TIME) continue;
      written = 0;
      await setImmediate();
    }
  }
  try {
    return { id: fileId, ...(await blobs.write(fileId, bytes(first.value))) };
  } finally {
    // A store that fails before it takes any of them would leave what they read from open.
    await pieces.return();
  }
}

async function* outputLines(batch: ClientBatch, options: WriteResultsOptions): AsyncGenerator<string, void> {
  const settings = batch.endpoint === '/v1/responses' ? createSettingsReader(batch, options) : null;
  try {
    for await (const line of results(batch, options)) {
      if (isAnswered(line)) yield* toResultLine(line, batch.endpoint, await settings?.of(line.line));
    }
  } finally {
    await settings?.close();
  }
}

async function* errorLines(
  batch: ClientBatch,
  options: WriteResultsOptions,
  tally: Tally,
): AsyncGenerator<string, void> {
  // Of a chunk that somebody noted and did not get to recording as done.
  const noted = new Set<number>();
  for await (const line of results(batch, options)) {
    count(tally, line);
    if (line.line > batch.expandedLines) noted.add(line.line);
    // Vectors take long to write, and those of the output file are written already.
    if (!isAnswered(line)) yield* toResultLine(line, batch.endpoint);
  }
  const reason = reasonOfMissing(batch);
  for await (const { number, customId } of missedLines(batch, options)) {
    if (noted.has(number)) continue;
    if (reason !== 'cancelled') tally.failed += 1;
    if (reason === 'expired') tally.expired += 1;
    yield toMissedLine(batch.id, number, customId, reason);
  }
}

function reasonOfMissing({ status, problems }: ClientBatch): 'cancelled' | 'input_gone' | 'expired' {
  if (status === 'cancelling') return 'cancelled';
  return problems.length > 0 ? 'input_gone' : 'expired';
}

function count(tally: Tally, line: ClientLineResult): void {
  if (line.status === 'completed') tally.completed += 1;
  if (line.status === 'failed' || line.status === 'expired') tally.failed += 1;
  if (line.status === 'expired') tally.expired += 1;
  tally.usage.inputTokens += line.inputTokens;
  tally.usage.cachedInputTokens += line.cachedInputTokens;
  tally.usage.outputTokens += line.outputTokens;
  tally.usage.reasoningTokens += line.reasoningTokens;
}

async function* results(
  batch: ClientBatch,
  { database, mayGoOn }: WriteResultsOptions,
): AsyncGenerator<ClientLineResult, void> {
  let after = 0;
  for (;;) {
    if (!mayGoOn()) throw new Interrupted();
    const page = await readClientResults(database, batch.id, after, LINES_AT_A_TIME);
    yield* page;
    const last = page.at(-1);
    if (!last) return;
    after = last.line;
  }
}

/** The lines that had not become jobs when the batch was over; by their number where the input is gone. */
async function* missedLines(
  batch: ClientBatch,
  { blobs, maxLineBytes }: WriteResultsOptions,
): AsyncGenerator<{ number: number; customId: string }, void> {
  if (batch.expandedLines >= batch.total) return;
  const content = await blobs.read(batch.inputFileId, batch.expandedBytes);
  let next = batch.expandedLines + 1;
  try {
    const from = { fromLine: next, fromByte: batch.expandedBytes, maxLineBytes };
    for await (const { number, text } of content ? readLines(content.stream, from) : []) {
      yield { number, customId: customIdOf(text, number) };
      next = number + 1;
    }
  } finally {
    content?.stream.destroy();
  }
  for (; next <= batch.total; next += 1) yield { number: next, customId: `line-${next}` };
}
