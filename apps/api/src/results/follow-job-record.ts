import { comparePositions, isTerminalEvent } from '@millrace/contracts';
import type { EventPosition, JobEvent } from '@millrace/contracts';
import { findEvents } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import type { LiveFeed, StoredDelta } from '@millrace/transport';
import type { AttemptFilter } from './follow-job-attempts.ts';
import type { FollowedEvent } from './follow-job.ts';

/** How far a follower is. */
export interface Place {
  readonly database: Database;
  readonly feed: LiveFeed;
  readonly jobId: string;
  readonly attempts: AttemptFilter;
  readonly patienceMs: number;
  /** Whether the job was over when the following began. */
  readonly jobHasEnded: boolean;
  cursor: EventPosition;
  /** The stream may not know how far the record was passed on: it must, before text is read from it. */
  mustSeal: boolean;
  /** Since when the stream could not be read (monotonic ms); null when it can. */
  awaySince: number | null;
}

/**
 * `ended`: the terminal event was passed on. `complete`: nothing more was there. `text_missing`: there are lifecycle events,
 * but the text before them cannot be read just now.
 */
export type RecordReading = 'ended' | 'complete' | 'text_missing';

const EVENTS_PAGE = 500;
const DELTAS_PAGE = 500;

/** Passes on what the ledger and the stream have behind the cursor, in order, until there is no more. */
export async function* readRecord(
  place: Place,
  signal: AbortSignal,
): AsyncGenerator<FollowedEvent, RecordReading, undefined> {
  for (;;) {
    const start = place.cursor;
    const events = await findEvents(place.database, place.jobId, start.sequence, EVENTS_PAGE);
    const page = { events, through: events.at(-1)?.sequence ?? start.sequence };
    const isLastPage = events.length < EVENTS_PAGE;
    const outcome = (await sealStream(place, page)) ? yield* mergeText(place, page, signal) : 'text_missing';
    if (outcome === 'ended' || signal.aborted) return outcome === 'ended' ? 'ended' : 'complete';
    if (outcome === 'text_missing') {
      if (events.length > 0 && isPatient(place)) return 'text_missing';
      if (yield* passEvents(place, page, null)) return 'ended';
    }
    const hasMoved = comparePositions(place.cursor, start) !== 0;
    if (!hasMoved || (isLastPage && outcome !== 'text_behind')) return 'complete';
  }
}

/** Lifecycle events that follow the cursor and are not passed on yet, and the number of the last of them. */
interface EventPage {
  readonly events: JobEvent[];
  readonly through: number;
}

/** False when Redis cannot be reached. */
async function sealStream(place: Place, { events, through }: EventPage): Promise<boolean> {
  const last = events.at(-1);
  if (through === 0 || (!place.mustSeal && !last)) return true;
  try {
    const isOver = place.jobHasEnded || (last !== undefined && isTerminalEvent(last.type));
    await place.feed.seal(place.jobId, through, isOver);
    place.mustSeal = false;
    return true;
  } catch {
    noteAway(place);
    return false;
  }
}

/**
 * Passes on a page of events and the text up to it. The stream is sealed there, so that no text can appear before it any
 * more. `text_behind`: there is text that belongs to later events, which have to be read first.
 */
async function* mergeText(
  place: Place,
  page: EventPage,
  signal: AbortSignal,
): AsyncGenerator<FollowedEvent, 'ended' | 'merged' | 'text_behind' | 'text_missing', undefined> {
  for (;;) {
    const text = await readText(place);
    if (!text) return 'text_missing';
    for (const stored of text.deltas) {
      const isBehind = stored.position.sequence > page.through;
      if (yield* passEvents(place, page, isBehind ? null : stored.position)) return 'ended';
      if (isBehind) return 'text_behind';
      if (!place.attempts.isReady()) {
        await place.attempts.load(place.database, place.jobId, place.cursor.sequence);
      }
      place.cursor = stored.position;
      if (place.attempts.admits(stored.delta)) yield stored;
      if (signal.aborted) return 'merged';
    }
    if (text.complete) return (yield* passEvents(place, page, null)) ? 'ended' : 'merged';
  }
}

/** Null when Redis cannot be reached. */
async function readText(place: Place): Promise<{ deltas: StoredDelta[]; complete: boolean } | null> {
  try {
    const text = await place.feed.readDeltas(place.jobId, place.cursor, DELTAS_PAGE);
    place.awaySince = null;
    return text;
  } catch {
    noteAway(place);
    return null;
  }
}

/** Passes on the events before a position (null: all) and takes them off the page. True after the terminal event. */
async function* passEvents(
  place: Place,
  { events }: EventPage,
  before: EventPosition | null,
): AsyncGenerator<FollowedEvent, boolean, undefined> {
  while (events[0] && (before === null || events[0].sequence <= before.sequence)) {
    const [event] = events.splice(0, 1) as [JobEvent];
    place.cursor = { sequence: event.sequence, delta: 0 };
    place.attempts.note(event);
    yield { position: place.cursor, kind: 'event', event };
    if (isTerminalEvent(event.type)) return true;
  }
  return false;
}

/** Text that could not be read is lost to this follower once a later event was passed on: that is worth a moment. */
function isPatient(place: Place): boolean {
  return place.awaySince !== null && performance.now() - place.awaySince < place.patienceMs;
}

function noteAway(place: Place): void {
  place.awaySince ??= performance.now();
  place.mustSeal = true;
}
