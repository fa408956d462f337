import { RetryableError, TerminalError } from '@millrace/contracts';
import { crashPoint, hasDefect } from '@millrace/faults';
import { prepareCall } from '@millrace/calls';
import { countOpenLines, findLines, findUnwantedLines, isBatchWanted } from '@millrace/ledger';
import type { BatchRecord, ClaimedStep } from '@millrace/ledger';
import type { BatchPort, ProviderBatch } from '@millrace/providers';
import { backoffMs, pollDelayMs } from './backoff.ts';
import { escapeWholeBatch } from './escape.ts';
import { findCreated } from './find-created.ts';
import { discardUploaded, finishBatch } from './finish-batch.ts';
import { isLongOver } from './is-long-over.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { LEASE_MS } from './lease.ts';
import { lineName } from './line-name.ts';
import { note } from './note.ts';
import { giveBack, giveBackAll } from './release.ts';
import type { Giving } from './release.ts';

const LINES_AT_A_TIME = 200;
/** Our own word for the phase: from here on the vendor may have the batch. */
const SENDING = 'submitting';
/** The vendor had no such batch when it was asked long enough after, or has refused to create it. */
const NOT_FOUND = 'not_found';
const LEFT_OUT: Giving = {
  reason: 'left_out',
  message: 'The line was not sent: nothing waited for it any more.',
  maybeBilled: false,
  batchTakesMs: null,
};

/**
 * Submits a batch, or adopts it where an earlier try has already created it: a batch created twice is a defect. `signal`
 * ends the upload.
 */
export async function submitBatch(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  signal: AbortSignal,
): Promise<void> {
  const isRepeated = batch.phase === SENDING || batch.phase === NOT_FOUND;
  if (isRepeated && !hasDefect('submit-batch-twice')) {
    const found = await findCreated(dependencies, port, batch);
    if (found === 'undecided') {
      // Its holder may never find out: a key that was revoked, a vendor that tells nothing.
      if (isLongOver(dependencies, batch)) await escapeWholeBatch(dependencies, batch.id, 'batch_stuck');
      return note(dependencies, batch, { wakeInMs: dependencies.settings.longestPollMs });
    }
    if (found) return adopt(dependencies, batch, found.batch, found.certain);
    // What a dying process has sent may still be on its way through the vendor, and its list may lag: a second batch would be
    // paid twice. Steps whose deadline comes near leave meanwhile.
    if (batch.phase === SENDING) {
      return note(dependencies, batch, { phase: NOT_FOUND, wakeInMs: dependencies.settings.listLagMs });
    }
  }
  if (!isRepeated) await leaveOutUnwanted(dependencies, batch);
  if (!(await isBatchWanted(dependencies.database, batch.id))) return abandon(dependencies, port, batch);
  const lineCount = await countLines(dependencies, batch);

  await note(dependencies, batch, { phase: SENDING, lineCount, wakeInMs: LEASE_MS });
  crashPoint('batch.before-upload', batch.id);
  let handles = batch.handles;
  try {
    const created = await port.submit(
      {
        batchId: batch.id,
        model: batch.model,
        lineCount,
        lines: readLines(dependencies, port, batch),
        handles,
        signal,
      },
      {
        async onUploaded(uploaded) {
          handles = { ...handles, ...uploaded };
          await note(dependencies, batch, { handles, wakeInMs: LEASE_MS });
          crashPoint('batch.after-upload', batch.id);
        },
      },
    );
    crashPoint('batch.after-create', batch.id);
    await adopt(dependencies, batch, created, true);
  } catch (error) {
    // What may have been created is looked for before anything else is done about it.
    if (!isVendorError(error) || error.failure.maybeBilled) throw error;
    if (error instanceof TerminalError) return refused(dependencies, port, { ...batch, handles }, error);
    await note(dependencies, batch, { phase: NOT_FOUND, wakeInMs: LEASE_MS });
    throw error;
  }
}

function isVendorError(error: unknown): error is TerminalError | RetryableError {
  return error instanceof TerminalError || error instanceof RetryableError;
}

async function adopt(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  created: ProviderBatch,
  certain: boolean,
): Promise<void> {
  const { settings, random, log } = dependencies;
  await note(dependencies, batch, {
    status: 'running',
    providerBatchId: created.providerBatchId,
    certain,
    phase: created.phase,
    handles: { ...batch.handles, ...created.handles },
    submittedAt: created.createdAt,
    expiresAt: created.expiresAt,
    counts: created.counts,
    tries: 0,
    wakeInMs: pollDelayMs(0, settings.longestPollMs, random()),
  });
  crashPoint('batch.recorded', batch.id);
  log.info(
    {
      batch: batch.id,
      target: batch.target,
      lines: batch.lineCount,
      provider_batch: created.providerBatchId,
    },
    'a batch was submitted',
  );
}

/**
 * Before anything is sent, lines whose steps have left or were cancelled are left out. Not later: where the vendor keeps nothing of
 * ours, what an earlier try may have created is recognised by the number of its lines.
 */
async function leaveOutUnwanted(dependencies: LaneDependencies, batch: BatchRecord): Promise<void> {
  for (;;) {
    const lines = await findUnwantedLines(dependencies.database, batch.id, LINES_AT_A_TIME);
    if (lines.length === 0) return;
    const held = await giveBack(dependencies, batch, lines, LEFT_OUT);
    if (held > 0) throw new Error(`${held} lines of ${batch.id} cannot be left out yet`);
  }
}

/** How many lines will be created: those of the uploaded file, or those that have no outcome. */
async function countLines({ database }: LaneDependencies, batch: BatchRecord): Promise<number> {
  return Object.keys(batch.handles).length > 0 ? batch.lineCount : countOpenLines(database, batch.id);
}

/** The vendor has no such batch, and nothing in it is wanted any more. */
async function abandon(dependencies: LaneDependencies, port: BatchPort, batch: BatchRecord): Promise<void> {
  const leftover = await discardUploaded(dependencies, port, batch);
  await note(dependencies, batch, { handles: {}, wakeInMs: LEASE_MS });
  if (leftover) dependencies.leftovers.add(port, leftover);
  await giveBackAll(dependencies, batch, LEFT_OUT);
  await finishBatch(dependencies, port, { ...batch, handles: {} }, { outcome: 'abandoned' });
}

/** The lines of a batch as the vendor wants them, read from the ledger page by page. */
async function* readLines(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
): AsyncGenerator<string, void, undefined> {
  for (let after = -1; ;) {
    const lines = await findLines(dependencies.database, batch.id, after, LINES_AT_A_TIME);
    const last = lines.at(-1);
    if (!last) return;
    for (const { line, step } of lines) {
      checkReadable(step);
      const prepared = prepareCall(step, dependencies);
      if (!prepared) throw new Error(`${step.target} cannot be called any more`);
      yield port.toLine(lineName(batch.id, line), prepared.call);
    }
    after = last.line;
  }
}

/** A newer scheduler has gathered it: to send what this one understands could ask for something else. It waits for a newer leader. */
function checkReadable({ jobId, key, unreadable }: ClaimedStep): void {
  if (!unreadable) return;
  const whose = unreadable.isNewer ? 'a newer version asks for' : 'does not fit';
  throw new Error(`step ${jobId}/${key}: ${whose} ${unreadable.places.join(', ')}`);
}

/** The vendor will not have it: every step goes on in realtime, where each gets its own error if there is one. */
async function refused(
  dependencies: LaneDependencies,
  port: BatchPort,
  batch: BatchRecord,
  error: TerminalError,
): Promise<void> {
  dependencies.onError(error);
  const { code } = error.failure;
  // First of all: whoever goes on after a crash must not create it from the file, with lines that were given back.
  const leftover = await discardUploaded(dependencies, port, batch);
  await note(dependencies, batch, {
    failure: { code, message: error.message },
    handles: {},
    wakeInMs: LEASE_MS,
  });
  if (leftover) dependencies.leftovers.add(port, leftover);
  await giveBackAll(dependencies, batch, {
    reason: 'batch_refused',
    message: error.message,
    maybeBilled: false,
    batchTakesMs: null,
  });
  await finishBatch(dependencies, port, { ...batch, handles: {} }, { outcome: 'refused' });
}

/** After a failure that may pass: when the submission is looked at again. */
export async function postpone(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  error: unknown,
): Promise<void> {
  const tries = batch.tries + 1;
  await note(dependencies, batch, { tries, wakeInMs: backoffMs(tries, error, dependencies.random()) });
}
