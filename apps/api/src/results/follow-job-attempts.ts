import type { EventPosition, JobEvent, StepDelta } from '@millrace/contracts';
import { findEvents } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';

/** Knows which attempt of each step counts at the cursor, so that text of one that was given up is left out. */
export interface AttemptFilter {
  /** False until the events before the follower's first position are known; `load` reads them. */
  isReady(): boolean;
  /** Reads what the events up to and including a number say. */
  load(database: Queryable, jobId: string, throughSequence: number): Promise<void>;
  /** Takes note of an event that the cursor passes. */
  note(event: JobEvent): void;
  admits(delta: StepDelta): boolean;
}

const PAGE = 1_000;

/**
 * The events before `after` are read only when text comes, because most followers of large jobs see none. A step's
 * `step.started` names the attempt that counts from there on; after `step.retried` none does until the next one starts.
 */
export function createAttemptFilter(after: EventPosition): AttemptFilter {
  const lowest = new Map<string, number>();
  let ready = after.sequence === 0;

  const fold = ({ type, data }: JobEvent): void => {
    const { step, attempt } = data;
    if (typeof step !== 'string') return;
    if (type === 'step.started' && typeof attempt === 'number') lowest.set(step, attempt);
    if (type === 'step.retried') lowest.set(step, (lowest.get(step) ?? 0) + 1);
  };

  return {
    isReady: () => ready,
    async load(database, jobId, throughSequence) {
      lowest.clear();
      for (let sequence = 0; sequence < throughSequence;) {
        const events = await findEvents(database, jobId, sequence, PAGE);
        for (const event of events) if (event.sequence <= throughSequence) fold(event);
        const last = events.at(-1);
        if (!last) break;
        sequence = last.sequence;
      }
      ready = true;
    },
    note(event) {
      // What is passed before `load` is read by it.
      if (ready) fold(event);
    },
    admits: (delta) => delta.attempt >= (lowest.get(delta.step) ?? 0),
  };
}
