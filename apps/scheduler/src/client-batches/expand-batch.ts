import { createHash } from 'node:crypto';
import { createId } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import {
  acceptJobs,
  addClientLines,
  closeClientLines,
  countTenantJobs,
  noteClientExpansion,
} from '@millrace/ledger';
import type { ClientBatch, Database, NewJob } from '@millrace/ledger';
import { HeldBack } from './hold-back.ts';
import type { HoldBack } from './hold-back.ts';
import { LineProblem } from './line-problem.ts';
import { customIdOf, readLine } from './read-line.ts';
import type { LineRequest, ReadLineOptions } from './read-line.ts';
import { readInput } from './read-input.ts';
import type { ReadInputOptions } from './read-input.ts';
import { readLines } from './read-lines.ts';
import type { FileLine } from './read-lines.ts';
import { Interrupted } from './validate-batch.ts';

/** What expanding needs. */
export interface ExpandOptions extends Omit<ReadLineOptions, 'endpoint'>, ReadInputOptions {
  database: Database;
  maxLineBytes: number;
  /** For tenants without a limit of their own. */
  maxOpenJobsPerTenant: number;
  holdBack: HoldBack;
  /** Puts the wakes of new jobs on the queue; what it cannot put there is woken by the reconciler. */
  wake: (jobs: readonly { jobId: string; priority: NewJob['priority']; tenantId: string }[]) => Promise<void>;
  mayGoOn: () => boolean;
}

/** One transaction's worth of jobs: some milliseconds of work, and a small part of the memory. */
const CHUNK_LINES = 100;
const CHUNK_BYTES = 1024 * 1024;
const TURN_MS = 5_000;
/** A batch with more time than this must not hold up what its tenant waits for now. */
const PATIENT_MS = 3_600_000;

/**
 * Turns the lines of a batch into jobs, a chunk at a time, from where the ledger says that it was left off. Each chunk is
 * noted with the ids of its jobs before the jobs are committed, so whoever does it again after a crash commits the same jobs
 * again, which changes nothing; and whoever stood still meanwhile commits none for a batch that was cancelled. Leaves off
 * after some seconds, so that other batches get their turn, and when the tenant has as many jobs open as it may have.
 * Throws HeldBack when its pools are too far behind, InputMissing, BlobStoreUnavailable, LedgerUnavailable, Interrupted.
 */
export async function expandBatch(batch: ClientBatch, options: ExpandOptions): Promise<void> {
  const { hasRoom: mayBegin, batchAllowed } = await lookAtTenant(batch, options);
  if (!mayBegin) return;
  const endOfTurn = options.now() + TURN_MS;
  const { expandedLines, expandedBytes } = batch;
  const content = await readInput(batch, expandedBytes, options);
  try {
    const lines = readLines(content.stream, {
      fromLine: expandedLines + 1,
      fromByte: expandedBytes,
      maxLineBytes: options.maxLineBytes,
    });
    for await (const chunk of inChunks(lines)) {
      if (!options.mayGoOn()) throw new Interrupted();
      if (options.now() >= Math.min(batch.expiresAt, endOfTurn)) return;
      const mustWait = isHeldBack(batch, batchAllowed, options);
      await expandChunk(batch, chunk, mustWait, options);
      // The count costs more than a chunk when there are many; several chunks may pass the limit a little.
      const last = chunk.at(-1)?.number ?? 0;
      if (last % (CHUNK_LINES * 30) < CHUNK_LINES && !(await lookAtTenant(batch, options)).hasRoom) return;
    }
  } finally {
    content.stream.destroy();
  }
}

async function lookAtTenant(
  batch: ClientBatch,
  options: ExpandOptions,
): Promise<{ hasRoom: boolean; batchAllowed: boolean }> {
  const most = options.maxOpenJobsPerTenant;
  const { open, maxOpenJobs, batchAllowed } = await countTenantJobs(options.database, batch.tenantId, most);
  return { hasRoom: open < Math.min(most, maxOpenJobs ?? most), batchAllowed };
}

/** Whether calls must not become jobs of this batch yet. */
type IsHeldBack = (plans: readonly LineRequest['plan'][]) => boolean;

function isHeldBack(batch: ClientBatch, batchAllowed: boolean, { holdBack, now }: ExpandOptions): IsHeldBack {
  const job = { priority: priorityOf(batch), timeLeftMs: batch.expiresAt - now(), batchAllowed };
  return (plans) => holdBack(job, plans);
}

async function* inChunks(lines: AsyncIterable<FileLine>): AsyncGenerator<FileLine[], void> {
  let chunk: FileLine[] = [];
  let bytes = 0;
  for await (const line of lines) {
    chunk.push(line);
    bytes += line.text?.length ?? 0;
    if (chunk.length < CHUNK_LINES && bytes < CHUNK_BYTES) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}

async function expandChunk(
  batch: ClientBatch,
  chunk: readonly FileLine[],
  mustWait: IsHeldBack,
  options: ExpandOptions,
): Promise<void> {
  const { database } = options;
  const requests = chunk.map((line) => ({ line, request: readAgain(batch, line, options) }));
  const plans = requests.flatMap(({ request }) => request?.plan ?? []);
  if (mustWait(plans)) throw new HeldBack();
  const jobIds = await addClientLines(
    database,
    batch.id,
    requests.map(({ line, request }) => ({
      line: line.number,
      customId: request?.customId ?? customIdOf(line.text, line.number),
      jobId: createId('job', options.now()),
    })),
  );
  crashPoint('client-batch.lines-noted', batch.id);

  const unusable: number[] = [];
  const jobs: { line: number; job: NewJob }[] = [];
  for (const { line, request } of requests) {
    const jobId = jobIds.get(line.number);
    if (jobId === undefined || !request) unusable.push(line.number);
    else jobs.push({ line: line.number, job: toJob(batch, line, request, jobId) });
  }
  const results = await acceptJobs(
    database,
    jobs.map(({ job }) => job),
    batch.id,
  );
  crashPoint('client-batch.jobs-accepted', batch.id);
  if (results.some((result) => result.outcome === 'in_progress')) {
    throw new Error(
      `some lines of ${batch.id} are not jobs yet, or it was ended meanwhile; it is looked at again`,
    );
  }
  // Somebody used the same idempotency key for something else.
  jobs.forEach(({ line }, index) => results[index]?.outcome !== 'accepted' && unusable.push(line));
  if (unusable.length > 0) await closeClientLines(database, batch.id, unusable, 'failed');

  const last = chunk.at(-1);
  if (last) await noteClientExpansion(database, batch.id, { lines: last.number, bytes: last.nextByte });
  crashPoint('client-batch.expansion-noted', batch.id);
  await options.wake(
    jobs.map(({ job }) => ({ jobId: job.id, priority: job.priority, tenantId: job.tenantId })),
  );
}

/** A line was valid; it may not be any more when the configuration has changed since. Null then. */
function readAgain(batch: ClientBatch, line: FileLine, options: ExpandOptions): LineRequest | null {
  try {
    return readLine(line.text, { ...options, endpoint: batch.endpoint });
  } catch (error) {
    if (error instanceof LineProblem) return null;
    throw error;
  }
}

function priorityOf({ createdAt, expiresAt }: ClientBatch): 'background' | 'standard' {
  return expiresAt - createdAt >= PATIENT_MS ? 'background' : 'standard';
}

function toJob(batch: ClientBatch, line: FileLine, request: LineRequest, jobId: string): NewJob {
  const { plan, input, params, metadata } = request;
  return {
    id: jobId,
    tenantId: batch.tenantId,
    apiKeyId: batch.apiKeyId,
    idempotencyKey: `${batch.id}/${line.number}`,
    fingerprint: createHash('sha256')
      .update(line.text ?? '')
      .digest(),
    type: plan.type,
    priority: priorityOf(batch),
    lane: 'auto',
    content: { plan, input, params },
    metadata: { ...metadata, batch_id: batch.id },
    webhook: null,
    requestId: batch.requestId,
    traceparent: null,
    deadlineAt: batch.expiresAt,
    maxCostMicroUsd: null,
  };
}
