import { prepareCall, splitTarget } from '@millrace/calls';
import { createId } from '@millrace/contracts';
import { crashPoint } from '@millrace/faults';
import { bindLines, findCandidates, leaveLane, noteBatch, openBatch } from '@millrace/ledger';
import type { Candidate, ClaimedStep, NewLine } from '@millrace/ledger';
import type { BatchPort } from '@millrace/providers';
import type { LaneDependencies } from './lane-dependencies.ts';
import { LEASE_MS } from './lease.ts';
import { lineName } from './line-name.ts';
import { tell } from './tell.ts';

const AT_A_TIME = 500;
/** Of steps that only a newer version can read: no look reads through more of them than this to find others. */
const MOST_PASSED_OVER = 5_000;

/** A batch that was gathered. `isFull`: there may be more of the kind. */
export interface GatheredBatch {
  lines: number;
  tokens: number;
  isFull: boolean;
}

/** How much more fits into a batch, and what one line may have where nothing else is enqueued. */
interface Room {
  lines: number;
  /** Texts to embed. */
  inputs: number;
  bytes: number;
  tokens: number;
  mostTokens: number;
}

/**
 * Puts a batch on record and binds collected steps to it until it is full: in transactions of some hundreds, so that nobody
 * waits long for a job's row. What cannot ride in a batch goes to realtime; what only a newer version can read stays where it is.
 * Null when there was nothing to bind.
 */
export async function gatherBatch(
  dependencies: LaneDependencies,
  port: BatchPort,
  target: string,
  shapes: readonly string[],
  tokens: { left: number; limit: number },
): Promise<GatheredBatch | null> {
  const { database, settings, holder } = dependencies;
  const room: Room = {
    lines: Math.min(settings.maxLines, port.limits.maxRequests),
    inputs: port.limits.maxEmbeddingInputs ?? Infinity,
    bytes: port.limits.maxBytes,
    tokens: tokens.left,
    mostTokens: tokens.limit,
  };
  const id = createId('providerBatch', dependencies.now());
  const open = () =>
    openBatch(database, { id, ...splitTarget(target), target, owner: holder, leaseMs: LEASE_MS });
  let batch: Awaited<ReturnType<typeof open>> | null = null;
  let line = 0;
  let isFull = false;
  let gatheredTokens = 0;
  let passedOver = 0;
  while (!isFull && room.lines > 0 && passedOver < MOST_PASSED_OVER) {
    const limit = Math.min(AT_A_TIME, room.lines);
    const found = await findCandidates(database, target, shapes, limit, passedOver);
    if (found.length === 0) break;
    const candidates = found.filter((step) => !step.unreadable?.isNewer);
    passedOver += found.length - candidates.length;
    const { lines, refused, full } = fit(dependencies, port, id, candidates, room, line);
    isFull = full;
    let left = 0;
    for (const [reason, steps] of Map.groupBy(refused, (each) => each.reason)) {
      const wakes = await leaveLane(
        database,
        steps.map(({ step }) => step),
        reason,
      );
      left += wakes.length;
      dependencies.metrics.batchEscapes.inc({ reason }, wakes.length);
      await tell(dependencies, { wakes });
    }
    if (lines.length === 0) {
      // Those that somebody has locked would be found again at once.
      if (left === 0 && candidates.length > 0) break;
      continue;
    }
    // Only now: a pool without room would leave an empty batch behind at every look.
    batch ??= await open();
    const { bound, overCap, events } = await bindLines(database, batch, lines);
    crashPoint('batch.bound', batch.id);
    line += lines.length;
    gatheredTokens += lines.reduce((sum, each) => sum + each.inputTokens, 0);
    const wakes = await leaveLane(database, overCap, 'cost_cap');
    await tell(dependencies, { events, wakes });
    if (bound === 0 && wakes.length === 0) break;
  }
  if (passedOver > 0) {
    dependencies.log.info({ target, count: passedOver }, 'collected steps wait for a newer scheduler');
  }
  if (batch === null) return null;
  crashPoint('batch.gathered', batch.id);
  await noteBatch(database, batch, { status: 'submitting', wakeInMs: 0 });
  return { lines: line, tokens: gatheredTokens, isFull: isFull || room.lines <= 0 };
}

/** Takes candidates in their order until one does not fit any more. */
function fit(
  dependencies: LaneDependencies,
  port: BatchPort,
  batchId: string,
  candidates: readonly Candidate[],
  room: Room,
  firstLine: number,
): { lines: NewLine[]; refused: { step: ClaimedStep; reason: string }[]; full: boolean } {
  const lines: NewLine[] = [];
  const refused: { step: ClaimedStep; reason: string }[] = [];
  for (const step of candidates) {
    // In realtime it gets its own error.
    if (step.unreadable) {
      refused.push({ step, reason: 'unreadable' });
      continue;
    }
    const forbidden = whoForbids(dependencies, step);
    if (forbidden) {
      refused.push({ step, reason: forbidden });
      continue;
    }
    const prepared = prepareCall(step, dependencies);
    if (!prepared) {
      refused.push({ step, reason: 'no_batch_api' });
      continue;
    }
    const { worstCaseMicroUsd: worstCase, inputTokens } = prepared;
    const isCapped = step.maxCostMicroUsd !== null;
    if ((isCapped && worstCase === null) || port.refuse(prepared.call) !== null) {
      refused.push({ step, reason: 'refused_in_batches' });
      continue;
    }
    const line = firstLine + lines.length;
    const bytes = Buffer.byteLength(port.toLine(lineName(batchId, line), prepared.call)) + 1;
    const inputs = prepared.call.embedding ? prepared.call.messages.length : 0;
    if (bytes > room.bytes || inputs > room.inputs || inputTokens > room.tokens) {
      // What fits at another time waits for it.
      const isTooLarge = bytes > port.limits.maxBytes || inputTokens > room.mostTokens;
      if (!isTooLarge) return { lines, refused, full: true };
      refused.push({ step, reason: 'too_large_for_batch' });
      continue;
    }
    room.lines -= 1;
    room.inputs -= inputs;
    room.bytes -= bytes;
    room.tokens -= inputTokens;
    lines.push({
      jobId: step.jobId,
      key: step.key,
      fence: step.fence,
      line,
      purpose: prepared.purpose,
      worstCaseMicroUsd: isCapped ? (worstCase ?? 0) : 0,
      bytes,
      inputTokens,
    });
  }
  return { lines, refused, full: room.lines <= 0 };
}

/** Who has forbidden since the step was placed that it lies in a provider's files. */
function whoForbids(
  { routes }: LaneDependencies,
  { batchAllowed, route }: Candidate,
): 'forbidden_by_tenant' | 'forbidden_by_route' | null {
  if (!batchAllowed) return 'forbidden_by_tenant';
  return routes.get(route ?? '')?.batch === false ? 'forbidden_by_route' : null;
}
