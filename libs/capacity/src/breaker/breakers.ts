import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { runScript } from '../book/run-script.ts';
import { allowScript, recordScript, releaseScript, stateScript } from './breaker-scripts.ts';

/** Where a breaker stands: `open` lets nothing through, `half_open` one probe at a time. */
export const breakerStates = ['closed', 'open', 'half_open'] as const;
export type BreakerState = (typeof breakerStates)[number];

/** `probe`: the call may go and decides whether others may; say so when recording it. */
export type BreakerVerdict = 'yes' | 'probe' | 'no';

/** Breakers of targets (`provider/model`), shared by the fleet. No function throws; without Redis all are closed. */
export interface Breakers {
  /** As of at most 250 ms ago. */
  state(target: string): Promise<BreakerState>;
  /** Whether a call may go; asks Redis at most every 250 ms per target unless there may be a probe to take. */
  allow(target: string): Promise<BreakerVerdict>;
  /**
   * Counts how a call ended. `ok` is false for what says that the target is in trouble (5xx, timeouts, lost connections);
   * refusals for the call's own sake and 429 are no trouble. `verdict` is what let it go. A probe
   * that says nothing is released instead; one whose process died makes room when its lease runs out.
   */
  record(target: string, ok: boolean, verdict?: BreakerVerdict): Promise<void>;
  /** Gives a probe back that was never sent, or whose end says nothing of the target, so that another may go at once. */
  release(target: string): Promise<void>;
}

/** When a breaker opens and closes. */
export interface BreakerPolicy {
  /** Default 60,000. */
  windowMs?: number;
  /** Fewer calls in the window open nothing. Default 10. */
  leastCalls?: number;
  /** Errors above this share open it. Default 0.5. */
  errorShare?: number;
  /** Until the first probe; doubled by each probe that fails. Default 5,000, at most 10,000. */
  openMs?: number;
  longestOpenMs?: number;
  /** A probe that has not ended by then makes room for another. Default 30,000. */
  probeLeaseMs?: number;
  /** Probes in a row that must go well. Default 2. */
  probesToClose?: number;
}

const FRESH_MS = 250;
const GATHER_MS = 100;
const MOST_TARGETS = 1_000;

/** `redis` is a connection of the role `producer`. `onOpened` is called by one process of the fleet, on opening from closed. */
export function createBreakers(options: {
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
  onOpened?: (opening: { target: string; calls: number; errors: number }) => void;
  policy?: BreakerPolicy;
  /** Monotonic, in ms. */
  now?: () => number;
}): Breakers {
  const { redis, names, onError, policy = {}, now = () => performance.now() } = options;
  const known = new Map<string, { state: BreakerState; answer: 'yes' | 'no'; until: number }>();
  const gathering = new Map<string, { count: number; reported: PromiseWithResolvers<void> }>();
  const remember = (target: string, state: BreakerState, forMs: number): void => {
    const answer = state === 'closed' ? 'yes' : 'no';
    known.delete(target);
    known.set(target, { state, answer, until: now() + Math.min(forMs, FRESH_MS) });
    // Clients name models: those that were asked for least lately are forgotten.
    for (const oldest of known.keys()) {
      if (known.size <= MOST_TARGETS) break;
      known.delete(oldest);
    }
  };
  const fresh = (target: string) => {
    const entry = known.get(target);
    return entry && entry.until > now() ? entry : null;
  };

  return {
    async state(target) {
      const entry = fresh(target);
      if (entry) return entry.state;
      try {
        const [state, leftMs] = (await runScript(redis, stateScript, [names.breaker(target)], [])) as [
          BreakerState,
          number,
        ];
        // A half-open breaker is not remembered here: `allow` would miss its probe.
        if (state !== 'half_open') remember(target, state, state === 'open' ? leftMs : FRESH_MS);
        return state;
      } catch (error) {
        onError(error);
        return 'closed';
      }
    },
    async allow(target) {
      const entry = fresh(target);
      if (entry) return entry.answer;
      try {
        const parameters = [policy.probeLeaseMs ?? 30_000];
        const [answer, state, leftMs] = (await runScript(
          redis,
          allowScript,
          [names.breaker(target)],
          parameters,
        )) as [BreakerVerdict, BreakerState, number];
        if (answer !== 'probe') remember(target, state, answer === 'no' ? leftMs : FRESH_MS);
        return answer;
      } catch (error) {
        onError(error);
        return 'yes';
      }
    },
    async record(target, ok, verdict = 'yes') {
      if (ok && verdict === 'yes') return gatherWell(target);
      const gathered = gathering.get(target);
      gathering.delete(target);
      await report(target, ok, verdict, gathered?.count ?? 0);
      gathered?.reported.resolve();
    },
    async release(target) {
      try {
        await runScript(redis, releaseScript, [names.breaker(target)], []);
        known.delete(target);
      } catch (error) {
        onError(error);
      }
    },
  };

  /** Calls that go well are counted here for a moment, so that they cost one command together. */
  function gatherWell(target: string): Promise<void> {
    let gathered = gathering.get(target);
    if (!gathered) {
      const started = { count: 0, reported: Promise.withResolvers<void>() };
      gathering.set(target, started);
      setTimeout(() => {
        if (gathering.get(target) !== started) return;
        gathering.delete(target);
        void report(target, true, 'yes', started.count - 1).then(started.reported.resolve);
      }, GATHER_MS).unref();
      gathered = started;
    }
    gathered.count += 1;
    return gathered.reported.promise;
  }

  async function report(
    target: string,
    ok: boolean,
    verdict: BreakerVerdict,
    furtherWell: number,
  ): Promise<void> {
    try {
      const [state, opened, calls, errors] = (await runScript(
        redis,
        recordScript,
        [names.breaker(target)],
        [
          ok ? 1 : 0,
          verdict === 'probe' ? 1 : 0,
          policy.windowMs ?? 60_000,
          policy.leastCalls ?? 10,
          policy.errorShare ?? 0.5,
          policy.openMs ?? 5_000,
          policy.longestOpenMs ?? 10_000,
          policy.probesToClose ?? 2,
          furtherWell,
        ],
      )) as [BreakerState, number, number, number];
      if (fresh(target)?.state !== state) known.delete(target);
      if (opened === 1) options.onOpened?.({ target, calls, errors });
    } catch (error) {
      onError(error);
    }
  }
}
