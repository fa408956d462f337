import type { GroupLimits, LimitsConfig } from '../simulator-config.ts';
import type { AccountUsage, LimitCost } from './account-limits.ts';
import { createSlidingMinute, type SlidingMinute } from './sliding-minute.ts';

/** Which limit a call would break, and when it would fit. */
export interface LimitBreach {
  readonly limit: 'requests' | 'tokens' | 'inputTokens' | 'outputTokens' | 'concurrency';
  readonly allowed: number;
  readonly used: number;
  readonly requested: number;
  /** Infinity when the call alone is larger than the limit. */
  readonly waitMs: number;
}

/** The counters of one account and model group. */
export interface LimitGroup {
  readonly requests: SlidingMinute;
  readonly tokens: SlidingMinute;
  readonly inputTokens: SlidingMinute;
  readonly outputTokens: SlidingMinute;
  /** Notes an arrival with its size in tokens, and whether it came before it was told to. */
  arrive(atMs: number, step: string, size: number): void;
  /** The limit that refuses this call now, or null; a call that is let in must be charged at once. */
  check(atMs: number, cost: LimitCost, limits: GroupLimits): LimitBreach | null;
  charge(atMs: number, cost: LimitCost): void;
  /** A call that a limit refused: it counts as a 429 and, where refused calls count, against the limit. */
  refuse(atMs: number): void;
  /** A 429 for another reason, of a call that was charged already. */
  noteRefusal(): void;
  produce(atMs: number, outputTokens: number): void;
  /** Remembers what a refusal told the client. */
  tellRetryAfter(atMs: number, waitMs: number, step: string): void;
  enter(): void;
  leave(): void;
  usage(): Omit<AccountUsage, 'account' | 'group' | 'limits'>;
}

export function createLimitGroup(config: () => LimitsConfig): LimitGroup {
  const windowMs = (): number => config().windowMs;
  const requests = createSlidingMinute(windowMs);
  const refused = createSlidingMinute(windowMs);
  const offered = createSlidingMinute(windowMs);
  const offeredTokens = createSlidingMinute(windowMs);
  const tokens = createSlidingMinute(windowMs);
  const inputTokens = createSlidingMinute(windowMs);
  const outputTokens = createSlidingMinute(windowMs);
  const toldSteps = new Map<string, number>();
  let calls = 0;
  let refusals = 0;
  let concurrency = 0;
  let peakConcurrency = 0;
  let told = { atMs: 0, untilMs: 0 };
  let early = 0;
  let earlyOfStep = 0;

  function check(atMs: number, cost: LimitCost, limits: GroupLimits): LimitBreach | null {
    if (!config().enforce) return null;
    const extra = config().countRefused ? refused.sum(atMs) : 0;
    const windows = [
      { limit: 'requests', window: requests, requested: 1, allowed: limits.requests, extra },
      { limit: 'tokens', window: tokens, requested: cost.tokens, allowed: limits.tokens, extra: 0 },
      {
        limit: 'inputTokens',
        window: inputTokens,
        requested: cost.inputTokens,
        allowed: limits.inputTokens,
        extra: 0,
      },
      // Output is counted as it is produced: a call is let in as long as anything is left.
      { limit: 'outputTokens', window: outputTokens, requested: 1, allowed: limits.outputTokens, extra: 0 },
    ] as const;
    for (const { limit, window, requested, allowed, extra: more } of windows) {
      if (allowed === null) continue;
      const used = window.sum(atMs) + more;
      if (requested === 0 || used + requested <= allowed) continue;
      const waitMs = Math.max(
        window.waitFor(atMs, requested, allowed),
        more > 0 ? refused.waitFor(atMs, requested, allowed) : 0,
        1,
      );
      return { limit, allowed, used, requested, waitMs };
    }
    if (limits.concurrency !== null && concurrency >= limits.concurrency) {
      return {
        limit: 'concurrency',
        allowed: limits.concurrency,
        used: concurrency,
        requested: 1,
        waitMs: 1_000,
      };
    }
    return null;
  }

  return {
    requests,
    tokens,
    inputTokens,
    outputTokens,
    arrive(atMs, step, size) {
      calls += 1;
      offered.add(atMs, 1);
      offeredTokens.add(atMs, size);
      const { retryAfterGraceMs } = config();
      if (atMs < told.untilMs && atMs > told.atMs + retryAfterGraceMs) early += 1;
      const stepUntil = toldSteps.get(step);
      if (stepUntil === undefined) return;
      toldSteps.delete(step);
      if (atMs < stepUntil) earlyOfStep += 1;
    },
    check,
    charge(atMs, cost) {
      requests.add(atMs, 1);
      tokens.add(atMs, cost.tokens);
      inputTokens.add(atMs, cost.inputTokens);
    },
    refuse(atMs) {
      refusals += 1;
      refused.add(atMs, 1);
    },
    noteRefusal() {
      refusals += 1;
    },
    produce: (atMs, amount) => {
      outputTokens.add(atMs, amount);
    },
    tellRetryAfter(atMs, waitMs, step) {
      // Clients' timers may fire a few milliseconds early.
      const untilMs = atMs + waitMs - 5;
      told = { atMs, untilMs: Math.max(untilMs, told.untilMs) };
      toldSteps.set(step, untilMs);
      if (toldSteps.size > 100_000) toldSteps.clear();
    },
    enter() {
      concurrency += 1;
      peakConcurrency = Math.max(peakConcurrency, concurrency);
    },
    leave() {
      concurrency -= 1;
    },
    usage: () => ({
      calls,
      refused429: refusals,
      fullestMinute: {
        requests: requests.fullest(),
        tokens: tokens.fullest(),
        inputTokens: inputTokens.fullest(),
        outputTokens: outputTokens.fullest(),
      },
      fullestMinuteOffered: { requests: offered.fullest(), tokens: offeredTokens.fullest() },
      concurrency,
      peakConcurrency,
      retryAfterViolations: early,
      retryAfterViolationsOfStep: earlyOfStep,
    }),
  };
}
