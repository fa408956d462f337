import { setTimeout as delay } from 'node:timers/promises';
import { comparePositions, isTerminal, isTerminalEvent } from '@millrace/contracts';
import type { EventPosition, JobEvent, StepDelta } from '@millrace/contracts';
import { LedgerUnavailable, findJob } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import type { LiveFeed, LiveMessage } from '@millrace/transport';
import { createAttemptFilter } from './follow-job-attempts.ts';
import { createMailbox } from './follow-job-mailbox.ts';
import { readRecord } from './follow-job-record.ts';
import type { Place, RecordReading } from './follow-job-record.ts';

/** What a follower of a job gets: its lifecycle events and its text, in the order of their positions. */
export type FollowedEvent = { position: EventPosition } & (
  { kind: 'event'; event: JobEvent } | { kind: 'delta'; delta: StepDelta }
);

export interface FollowRequest {
  database: Database;
  feed: LiveFeed;
  tenantId: string;
  jobId: string;
  /** The last position that the follower has; 0-0 is before the first. It must be one that exists. */
  after: EventPosition;
  /** Ends the following; what is being waited for is given up at once. */
  signal: AbortSignal;
  /** How long lifecycle events wait for the text before them when Redis cannot be read. */
  patienceMs?: number;
}

/** Messages that wait for a slow follower; with more it reads them later, from the ledger and the stream. */
const MAILBOX_SIZE = 500;
const PATIENCE_MS = 2_000;
/** Announcements can get lost: how long a follower relies on them before it looks for itself. */
const TRUST_MS = 5_000;
const TRUST_WITHOUT_REDIS_MS = 1_000;
const STREAM_RETRY_MS = 200;
const LEDGER_RETRY_MS = 1_000;

/**
 * Follows a job from a position to its terminal event, with no gap and no double: reads what is recorded, then takes what
 * is announced as long as each announcement is the one right after the last, and reads the record again when not.
 *
 * Why nothing is missed: text before a lifecycle event N is in the stream below the mark N, and nothing gets in there once
 * the mark is set. So an event is passed on only when its mark is known to stand (the reader sets it, or the announcement
 * says that its own script just did, and what the stream's entry before it was) and all text before it has been. Text of
 * an attempt that was given up is left out. Events that the ledger has are passed on without their text only when Redis
 * cannot be read for `patienceMs`.
 *
 * Ends without an event when the job is unknown, another tenant's, or over at `after`. Throws LedgerUnavailable if the
 * ledger is away at the beginning; later it waits until it is back.
 */
export async function* followJob(request: FollowRequest): AsyncGenerator<FollowedEvent, void, undefined> {
  const { database, feed, jobId, signal } = request;
  const mailbox = createMailbox(MAILBOX_SIZE);
  const unwatch = await feed.watch(jobId, mailbox);
  try {
    const job = await findJob(database, request.tenantId, jobId);
    if (!job) return;
    const jobHasEnded = isTerminal(job.status);
    const place: Place = {
      database,
      feed,
      jobId,
      cursor: request.after,
      attempts: createAttemptFilter(request.after),
      mustSeal: true,
      awaySince: null,
      patienceMs: request.patienceMs ?? PATIENCE_MS,
      jobHasEnded,
    };
    let lookAt = 0;
    for (;;) {
      const news = await mailbox.next(lookAt - performance.now(), signal);
      if (signal.aborted) return;
      const message = typeof news === 'string' ? null : news;
      if (message) {
        if (comparePositions(message.position, place.cursor) <= 0) {
          // The stream was begun anew behind us: it has to learn how far the record goes.
          if (!isFirstOfStream(message)) continue;
          place.mustSeal = true;
        }
        if (isNext(message, place)) {
          const followed = take(message, place);
          if (followed) yield followed;
          if (message.kind === 'event' && isTerminalEvent(message.event.type)) return;
          if (performance.now() < lookAt) continue;
        }
      }
      const reading = yield* readWhenPossible(place, signal);
      if (reading === 'ended' || (reading === 'complete' && jobHasEnded)) return;
      if (message && reading === 'complete' && isLost(message, place)) {
        const followed = take(message, place);
        if (followed) yield followed;
      }
      lookAt = reading === 'complete' ? performance.now() + trustMs(place) : 0;
      // Whatever is announced meanwhile must not make us ask a server that is away again and again.
      if (reading === 'ledger_away') await pause(LEDGER_RETRY_MS, signal);
      else if (place.awaySince !== null) await pause(STREAM_RETRY_MS, signal);
    }
  } finally {
    unwatch();
  }
}

async function* readWhenPossible(
  place: Place,
  signal: AbortSignal,
): AsyncGenerator<FollowedEvent, RecordReading | 'ledger_away', undefined> {
  try {
    return yield* readRecord(place, signal);
  } catch (error) {
    if (!(error instanceof LedgerUnavailable)) throw error;
    return 'ledger_away';
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  // It rejects when the signal is aborted, which the caller looks at anyway.
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

function trustMs(place: Place): number {
  return place.awaySince === null && place.feed.isConnected() ? TRUST_MS : TRUST_WITHOUT_REDIS_MS;
}

function isFirstOfStream({ previous }: LiveMessage): boolean {
  return previous?.sequence === 0 && previous.delta === 0;
}

/**
 * Whether a message is right behind the cursor in the stream and in the ledger: both, because a stream knows nothing of
 * events that were never announced, and the ledger nothing of text.
 */
function isNext(message: LiveMessage, { cursor, attempts }: Place): boolean {
  if (!message.previous || comparePositions(message.previous, cursor) !== 0) return false;
  if (message.kind === 'event') return message.position.sequence === cursor.sequence + 1;
  return message.position.sequence === cursor.sequence && attempts.isReady();
}

/** Whether Redis has lost text between its announcement and now: everything before it has just been read, but not it. */
function isLost({ kind, position }: LiveMessage, { cursor, awaySince, attempts }: Place): boolean {
  const isUnread = kind === 'delta' && awaySince === null && comparePositions(position, cursor) > 0;
  return isUnread && position.sequence === cursor.sequence && attempts.isReady();
}

/** Moves the cursor over a message; null for text of an attempt that was given up. */
function take(message: LiveMessage, place: Place): FollowedEvent | null {
  const { position } = message;
  place.cursor = position;
  if (message.kind === 'event') {
    place.attempts.note(message.event);
    return { position, kind: 'event', event: message.event };
  }
  return place.attempts.admits(message.delta) ? { position, kind: 'delta', delta: message.delta } : null;
}
