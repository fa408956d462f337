import { jobEventSchema, stepDeltaSchema } from '@millrace/contracts';
import type { EventPosition, JobEvent, StepDelta } from '@millrace/contracts';

/** Text as a job's live stream keeps it. */
export interface StoredDelta {
  kind: 'delta';
  position: EventPosition;
  delta: StepDelta;
}

/**
 * A piece of a job's record as it is announced. `previous` is the entry before it in the job's stream at that moment
 * (0-0: it is the stream's first); null when nobody can tell what lies between.
 */
export type LiveMessage = { position: EventPosition; previous: EventPosition | null } & (
  { kind: 'event'; event: JobEvent } | { kind: 'delta'; delta: StepDelta }
);

/** Reads `<id> <id of the entry before, or -> <payload>`. Throws when it is anything else. */
export function parseLiveMessage(text: string): LiveMessage {
  const idEnd = text.indexOf(' ');
  const previousEnd = text.indexOf(' ', idEnd + 1);
  const position = parseStreamId(text.slice(0, idEnd));
  if (!position) throw new TypeError('an announcement has no position');
  const previous = parseStreamId(text.slice(idEnd + 1, previousEnd));
  const payload: unknown = JSON.parse(text.slice(previousEnd + 1));
  return position.delta === 0
    ? { position, previous, kind: 'event', event: jobEventSchema.parse(payload) }
    : { position, previous, kind: 'delta', delta: stepDeltaSchema.parse(payload) };
}

/** Reads the payload of a stream's entry. Throws when it is not a delta. */
export function parseStoredDelta(position: EventPosition, payload: string): StoredDelta {
  return { kind: 'delta', position, delta: stepDeltaSchema.parse(JSON.parse(payload)) };
}

/** `"12-3"` → position 3 after event 12; null when the text is no such id. */
export function parseStreamId(id: string): EventPosition | null {
  const match = /^(\d+)-(\d+)$/.exec(id);
  return match ? { sequence: Number(match[1]), delta: Number(match[2]) } : null;
}
