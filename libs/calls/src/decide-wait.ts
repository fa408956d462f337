import { fail } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import type { Situation } from './situation.ts';

/** A call that must wait longer than this at its target leaves it for one that could take it at once. */
export const longWaitMs = 10_000;

/** So long before the deadline a step looks for a target for the last time, or ends with an error that says why. */
const LAST_LOOK_MS = 2_000;

/** Waiting uses up no attempt. A target that makes a call wait for long is left for one that could take it now. */
export function decideWait(
  delayMs: number,
  reason: string,
  patienceMs: number,
  situation: Situation,
): Outcome {
  const { freeTarget } = situation;
  const free = { reason, countsAttempt: false, parkMs: null } as const;
  if (delayMs <= patienceMs || freeTarget === null) return { kind: 'retry', delayMs, ...free };
  return { kind: 'fall_over', target: freeTarget, gaveUp: false, ...free };
}

/** A target that takes no calls at present is left for one that works; without one, the route says what is done. */
export function decideClosed(delayMs: number, situation: Situation): Outcome {
  const { lastResort, freeTarget } = situation;
  if (freeTarget !== null) return decideWait(delayMs, 'provider_unavailable', 0, situation);
  if (!lastResort) return waitForTarget(delayMs, situation);
  switch (lastResort.kind) {
    case 'fail':
      return fail('providers_unavailable', 'No target of the route can be used, and it is not to wait.');
    case 'answer':
      return { kind: 'complete', output: lastResort.output, degraded: 'stale' };
    case 'use': {
      const { target } = lastResort;
      const free = { reason: 'provider_unavailable', countsAttempt: false, parkMs: null } as const;
      return { kind: 'fall_over', target, gaveUp: false, degraded: 'cheapest', ...free };
    }
  }
}

function waitForTarget(delayMs: number, situation: Situation): Outcome {
  const timeLeftMs = situation.timeLeftMs ?? Infinity;
  if (timeLeftMs <= LAST_LOOK_MS) {
    const message = `${situation.target} cannot be used at present, no other target can, and the deadline leaves no time to wait.`;
    return fail('providers_unavailable', message);
  }
  return decideWait(Math.min(delayMs, timeLeftMs - LAST_LOOK_MS / 2), 'provider_unavailable', 0, situation);
}
