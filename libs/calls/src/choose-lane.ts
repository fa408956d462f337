import type { Lane, LaneChoice } from '@millrace/contracts';

/** Why a step cannot ride in a provider batch. */
export type BatchRefusal =
  'forbidden_by_route' | 'forbidden_by_tenant' | 'no_batch_api' | 'streamed' | 'no_saving';

/** What the lane is chosen from. Durations are in milliseconds. */
export interface LaneQuestion {
  /** What the job asks for. */
  asked: LaneChoice;
  /** Until the job's deadline; null without one. */
  timeLeftMs: number | null;
  batch: {
    refusal: BatchRefusal | null;
    /** Within which time a batch is answered, 99 in 100. */
    takesMs: number;
    /** What is kept before the deadline to run the step in realtime all the same. */
    marginMs: number;
  };
  /** OpenAI's flex: the price of a batch, at once or refused. */
  flex: { isAvailable: boolean; takesMs: number };
}

/** The lane, why, and after which time the step leaves the batch lane (null: only with its batch). */
export interface LaneAnswer {
  lane: Lane;
  reason: string;
  escapeAfterMs: number | null;
}

/**
 * Chooses how a step is served. Pure. `auto` goes the cheapest way that keeps the deadline, and without a deadline it does
 * not wait; `batch` rides in a batch wherever one can be had, and is taken out of it before the deadline like any other.
 */
export function chooseLane(question: LaneQuestion): LaneAnswer {
  const { asked, timeLeftMs, batch } = question;
  if (asked === 'realtime') return realtime('asked_for');
  if (asked === 'batch' && batch.refusal !== null && batch.refusal !== 'no_saving')
    return realtime(batch.refusal);
  if (asked === 'batch') return forced(timeLeftMs, batch);
  if (timeLeftMs === null) return realtime('no_deadline');
  if (batch.refusal !== null) return flexOr(question, timeLeftMs, batch.refusal);
  const escapeAfterMs = timeLeftMs - batch.marginMs;
  if (batch.takesMs <= escapeAfterMs) return { lane: 'batch', reason: 'deadline_allows', escapeAfterMs };
  return flexOr(question, timeLeftMs, 'deadline_near');
}

function realtime(reason: string): LaneAnswer {
  return { lane: 'realtime', reason, escapeAfterMs: null };
}

function forced(timeLeftMs: number | null, batch: LaneQuestion['batch']): LaneAnswer {
  if (timeLeftMs === null) return { lane: 'batch', reason: 'asked_for', escapeAfterMs: null };
  const escapeAfterMs = timeLeftMs - batch.marginMs;
  if (escapeAfterMs <= 0) return realtime('deadline_near');
  const reason = batch.takesMs <= escapeAfterMs ? 'asked_for' : 'deadline_at_risk';
  return { lane: 'batch', reason, escapeAfterMs };
}

function flexOr({ flex, batch }: LaneQuestion, timeLeftMs: number, reason: string): LaneAnswer {
  if (!flex.isAvailable || flex.takesMs > timeLeftMs - batch.marginMs) return realtime(reason);
  return { lane: 'flex', reason, escapeAfterMs: null };
}
