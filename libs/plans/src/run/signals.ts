import type { ErrorCode, JobError } from '@millrace/contracts';
import type { WantedStep } from './step.ts';

/** What a suspended node waits for: a step to be inserted, or the key of one that is open. */
export type Ask = WantedStep | string;

/**
 * Stops a plan function where a step has no result yet. Private to this library: no caller ever sees it. It is no Error,
 * because a replay of 10,000 open steps would spend most of its time on 10,000 stack traces that nobody reads.
 */
export class Suspended {
  readonly asks: readonly Ask[];

  constructor(asks: readonly Ask[]) {
    this.asks = asks;
  }
}

/** Suspends the node that calls it. */
export function suspend(asks: readonly Ask[]): never {
  // eslint-disable-next-line @typescript-eslint/only-throw-error -- see Suspended
  throw new Suspended(asks);
}

/** A node failed; the node around it may handle that. `ordinal` is the step whose end made it fail. */
export class NodeFailed extends Error {
  readonly error: JobError;
  readonly ordinal: number;

  constructor(error: JobError, ordinal: number) {
    super(error.message);
    this.error = error;
    this.ordinal = ordinal;
  }
}

/** The plan as a whole passed a limit; no node may handle that. */
export class PlanAborted extends Error {
  readonly error: JobError;

  constructor(message: string) {
    super(message);
    this.error = { code: 'plan_failed', message };
  }
}

/** A failure that a node itself found, at the place `path` (the step it stands at, '' for the root). */
export function nodeFailure(code: ErrorCode, message: string, path: string, ordinal: number): NodeFailed {
  return new NodeFailed(path === '' ? { code, message } : { code, message, step: path }, ordinal);
}
