import type { Priority } from '@millrace/contracts';
import type { AgeingLimits } from '@millrace/ledger';

/** What a step still waits for in `realtime` after it was raised to it: its share of the pool, in tokens. */
export interface RealtimeShare {
  /** Its own tokens, and those of its tenant's other aged steps before it. */
  tokens: number;
  /** The weights of all flows that wait in the class, in weights of its own; an aged flow weighs a quarter of its tenant's tier. */
  flows: number;
  /** Tokens of one call of each other flow, and of the calls that workers had taken before. */
  callsTokens: number;
  tokensPerMinute: number;
}

/**
 * The longest time for which a step waits for its turn in a pool that is full of more urgent work: until it has been raised
 * to `realtime`, and its share there. Without a share: the time to get there. docs/decisions/2026-11-21-fair-order.md
 * explains it.
 */
export function longestWaitMs(priority: Priority, limits: AgeingLimits, share?: RealtimeShare): number {
  return climbMs(priority, limits) + (share ? shareMs(share) : 0);
}

/** How often the scheduler looks for steps to raise: often enough that one is late by no more than a tenth. */
export function ageEveryMs(limits: AgeingLimits): number {
  return Math.min(15_000, Math.max(500, Math.min(limits.standardMs, limits.backgroundMs) / 10));
}

/** Each class takes its time, and a round until it is noticed. */
function climbMs(priority: Priority, limits: AgeingLimits): number {
  switch (priority) {
    case 'realtime':
      return 0;
    case 'standard':
      return limits.standardMs + ageEveryMs(limits);
    case 'background':
      return limits.backgroundMs + ageEveryMs(limits) + climbMs('standard', limits);
  }
}

function shareMs({ tokens, flows, callsTokens, tokensPerMinute }: RealtimeShare): number {
  return ((tokens * flows + callsTokens) / tokensPerMinute) * 60_000;
}
