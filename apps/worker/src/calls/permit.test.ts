import type { JudgedCall, PreparedCall } from '@millrace/calls';
import { createBreakers, createCapacityBook, createOutputEstimator } from '@millrace/capacity';
import type { Breakers, DomainLimits } from '@millrace/capacity';
import type { ClaimedStep } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createTestRedis, waitFor } from '@millrace/test-support';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TargetRouter } from '../routing/router.ts';
import { obtainPermit, returnPermit } from './permit.ts';
import type { Permit, PermitDependencies, Sending } from './permit.ts';
import { createRetryBudget } from './retry-budget.ts';

const server = createTestRedis();
const names = keyNames(server.prefix);
const onError = (error: unknown): void => {
  throw error;
};
let redis: ReturnType<typeof connectRedis>;
beforeAll(async () => {
  redis = connectRedis({ url: server.url, role: 'worker', name: 'permit-test', onError });
  await waitFor(() => redis.status === 'ready', { what: 'redis' });
});
afterAll(async () => {
  await server.flush();
  await closeRedis(redis);
});

let pools = 0;
/** A pool of its own with all that decides about it; pauses are noted. */
function open(limits: DomainLimits, breakers?: Breakers) {
  const pool = `pool${(pools += 1)}`;
  const pauses: number[] = [];
  const dependencies: PermitDependencies = {
    capacity: createCapacityBook({ redis, names, onError, domains: new Map([[pool, limits]]) }),
    breakers: breakers ?? createBreakers({ redis, names, onError }),
    router: { isOff: () => false } as unknown as TargetRouter,
    estimator: createOutputEstimator({ redis, names, onError }),
    retryBudget: createRetryBudget({ share: 0.1, most: 1, trickleMs: 1e9, now: () => 0 }),
    usualDurationMs: () => 0,
    callTimeoutMs: 60_000,
    pausePool: (_, forMs) => pauses.push(forMs),
    random: () => 0,
    now: Date.now,
    monotonicNow: () => performance.now(),
    pause: (ms) => pause(ms),
  };
  return { dependencies, pool, target: `openai/${pool}`, pauses };
}

type Room = ReturnType<typeof open>;
const prepared = {
  inputTokens: 10,
  inputCharacters: 40,
  chargedOutputTokens: 500,
  call: { maxOutputTokens: 500, timeoutMs: 60_000 },
} as unknown as PreparedCall;
const stepOf = ({ pool, target }: Room, more: Partial<ClaimedStep> = {}): ClaimedStep =>
  ({
    ...{ jobId: 'job', key: '0', tenantId: 'acme', pool, target, route: null, priority: 'standard' },
    ...{ targetAttempts: 0, createdAt: Date.now(), request: {}, lane: 'realtime' },
    ...more,
  }) as unknown as ClaimedStep;
const ask = (room: Room, more: Partial<ClaimedStep> = {}, place?: number, call = prepared) => {
  const step = stepOf(room, more);
  const held = { step, signal: new AbortController().signal, release: () => undefined };
  return obtainPermit(room.dependencies, held, call, place);
};
async function mustGet(room: Room, more: Partial<ClaimedStep> = {}): Promise<Permit> {
  const permit = await ask(room, more);
  if (!('booking' in permit)) throw new Error(JSON.stringify(permit));
  return permit;
}
const departureOf = (permit: Awaited<ReturnType<typeof ask>>): number =>
  ('booking' in permit && permit.booking?.departsAt) || Infinity;
const aborted = (arrivedBy: number | undefined): Sending => ({
  judged: {
    happening: { kind: 'aborted', reason: 'cancelled' },
    attempt: { status: 'cancelled', usage: null },
  } as unknown as JudgedCall,
  arrivedBy,
});
const answered = (arrivedBy: number | undefined, outputTokens?: number): Sending => ({
  judged: {
    happening: { kind: 'answered', output: 'yes' },
    attempt: {
      status: 'completed',
      usage: outputTokens === undefined ? null : { ...noTokens, outputTokens },
    },
  } as unknown as JudgedCall,
  arrivedBy,
});
const noTokens = { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };

describe('a step for which all places are taken', () => {
  it('waits for one in its slot, while the pool pauses', async () => {
    const room = open({ concurrency: 1 });
    const first = await mustGet(room);
    const second = ask(room);
    await waitFor(() => room.pauses.length > 0, { what: 'the pause' });
    await returnPermit(room.dependencies, stepOf(room), first, null);
    expect(await second).toMatchObject({ verdict: 'yes' });
  });

  it('is put off when none becomes free in time', async () => {
    const room = open({ concurrency: 1 });
    await mustGet(room);
    expect(await ask(room)).toMatchObject({ kind: 'must_wait' });
  });
});

describe('a background step', () => {
  const background = { priority: 'background' as const };

  it('for which only the last places are left gives its slot back, and hardly holds the pool up', async () => {
    const room = open({ concurrency: 6 });
    room.dependencies.pause = () => Promise.reject(new Error('it waits in its slot'));
    for (let calls = 0; calls < 5; calls += 1) await mustGet(room, background);
    expect(await ask(room, background)).toMatchObject({ kind: 'must_wait', keepsTurn: false });
    expect(room.pauses).toEqual([100]);
    await mustGet(room);
  });

  it('waits there for a moment where many calls are under way, and the pool goes on', async () => {
    const room = open({ concurrency: 40 });
    const permits = await Promise.all(Array.from({ length: 36 }, () => mustGet(room, background)));
    room.dependencies.monotonicNow = () => 0;
    const waits: number[] = [];
    room.dependencies.pause = async (ms) => {
      waits.push(ms);
      await returnPermit(room.dependencies, stepOf(room), permits[0]!, null);
    };
    expect(await ask(room, background)).toMatchObject({ verdict: 'yes' });
    expect(waits).toEqual([50]);
    expect(room.pauses).toEqual([]);
  });
});

describe('a step that is taken before one of an earlier place', () => {
  it('waits in its slot until the other has booked, when the pool had no room for the other before', async () => {
    const room = open({ requests: 60 });
    const before = Array.from({ length: 6 }, (_, index) => ask(room, { key: `before ${index}` }));
    await waitFor(() => room.pauses.length > 0, { what: 'the pool to be full' });
    const refused = await ask(room, { key: 'early' }, 20);
    if (!('kind' in refused) || refused.kind !== 'must_wait') throw new Error(JSON.stringify(refused));
    expect(refused.keepsTurn).toBe(true);
    // What is left of the wait then is worth a booking.
    await pause(refused.delayMs - 1_800);
    const late = ask(room, { key: 'late' }, 30);
    await pause(20);
    const early = ask(room, { key: 'early' }, 20);
    expect(departureOf(await early)).toBeLessThan(departureOf(await late));
    await Promise.all(before);
  });
});

describe('a pool whose provider said when to come back', () => {
  it('pauses for nearly as long as it is parked, and no longer than 15 s at a time', async () => {
    const paused = async (forMs: number): Promise<number> => {
      const room = open({ requests: 60 });
      await room.dependencies.capacity.park(room.pool, forMs);
      expect(await ask(room)).toMatchObject({ kind: 'must_wait' });
      return room.pauses.at(-1)!;
    };
    expect(await paused(60_000)).toBe(15_000);
    const short = await paused(10_000);
    expect(short).toBeGreaterThan(7_000);
    expect(short).toBeLessThanOrEqual(9_000);
  });
});

describe('what a call is charged', () => {
  it('is nothing when it never left, and all that was booked when it was cut', async () => {
    const room = open({ requests: 60, outputTokens: 10_000, burstMs: 240_000 });
    const read = async () => (await room.dependencies.capacity.read(room.pool))?.limits;
    await returnPermit(room.dependencies, stepOf(room), await mustGet(room), aborted(undefined));
    expect(await read()).toMatchObject({ requests: { used: 0 }, outputTokens: { used: 0 } });
    await returnPermit(room.dependencies, stepOf(room), await mustGet(room), aborted(performance.now()));
    expect(await read()).toMatchObject({ requests: { used: 1 }, outputTokens: { used: 500 } });
  });
});

describe('what a call is booked for', () => {
  it('is what the provider charges, though less was asked for', async () => {
    const room = open({ tokens: 1_000, inputTokens: 1_000, outputTokens: 1_000 });
    const least = { ...prepared, chargedOutputTokens: 16, call: { ...prepared.call, maxOutputTokens: 1 } };
    const permit = await ask(room, {}, undefined, least);
    const booked = 'booking' in permit ? (permit.booking?.booked ?? []) : [];
    expect(booked.map(({ dimension, amount }) => [dimension, amount])).toEqual([
      ['tokens', 16],
      ['inputTokens', 10],
      ['outputTokens', 16],
    ]);
  });

  it('is what its plan node’s answers stayed below, and the most it may give where little is known', async () => {
    const room = open({ outputTokens: 1_000_000, burstMs: 240_000 });
    const booked = async (more: Partial<ClaimedStep>): Promise<number | undefined> =>
      (await mustGet(room, more)).booking?.booked.find(({ dimension }) => dimension === 'outputTokens')
        ?.amount;
    const route = 'learned';
    for (let call = 0; call < 20; call += 1) {
      const step = { route, key: `${call}/note` };
      const permit = await mustGet(room, step);
      await returnPermit(room.dependencies, stepOf(room, step), permit, answered(performance.now(), 50));
    }
    // Another process, which has asked for no estimate before.
    room.dependencies.estimator = createOutputEstimator({ redis, names, onError });
    const learned = await booked({ route, key: '700/note' });
    expect(learned).toBeGreaterThanOrEqual(50);
    expect(learned).toBeLessThanOrEqual(55);
    expect(await booked({ route, key: '700/judge' })).toBe(500);
    expect(await booked({ route: 'other', key: '700/note' })).toBe(500);
    expect(await booked({ route, key: '700/note', tenantId: 'umbrella' })).toBe(500);
  });
});

describe('the retry budget', () => {
  it('gets back what was spent on a retry that had a permit and never left', async () => {
    const room = open({});
    for (const sending of [null, aborted(undefined), null, aborted(undefined)]) {
      await returnPermit(
        room.dependencies,
        stepOf(room),
        await mustGet(room, { targetAttempts: 1 }),
        sending,
      );
    }
    await returnPermit(
      room.dependencies,
      stepOf(room),
      await mustGet(room, { targetAttempts: 1 }),
      aborted(performance.now()),
    );
    room.dependencies.retryBudget.spend(room.target);
    expect(await ask(room, { targetAttempts: 1 })).toMatchObject({ kind: 'must_wait' });
  });

  it('grows by first attempts that left, not by those that only had a permit', async () => {
    const room = open({});
    const { retryBudget } = room.dependencies;
    while (retryBudget.spend(room.target));
    for (let calls = 0; calls < 11; calls += 1) {
      await returnPermit(room.dependencies, stepOf(room), await mustGet(room), null);
    }
    expect(retryBudget.spend(room.target)).toBe(false);
    for (let calls = 0; calls < 11; calls += 1) {
      await returnPermit(room.dependencies, stepOf(room), await mustGet(room), answered(performance.now()));
    }
    expect(retryBudget.spend(room.target)).toBe(true);
  });
});

describe('while a breaker is half open', () => {
  const halfOpen = async (limits: DomainLimits): Promise<Room> => {
    const breakers = createBreakers({ redis, names, onError, policy: { leastCalls: 1, openMs: 1 } });
    const room = open(limits, breakers);
    await breakers.record(room.target, false);
    await waitFor(async () => (await breakers.state(room.target)) === 'half_open', { what: 'half open' });
    return room;
  };

  it('only the probe books', async () => {
    const room = await halfOpen({ requests: 60, burstMs: 240_000 });
    const { capacity } = room.dependencies;
    const booked: string[] = [];
    room.dependencies.capacity = Object.create(capacity, {
      reserve: {
        value: (...parameters: Parameters<typeof capacity.reserve>) => {
          booked.push(parameters[0]);
          return capacity.reserve(...parameters);
        },
      },
    }) as typeof capacity;
    const answers = await Promise.all(Array.from({ length: 6 }, () => ask(room)));
    expect(answers.filter((each) => 'verdict' in each && each.verdict === 'probe')).toHaveLength(1);
    expect(booked).toHaveLength(1);
  });

  it('a probe for which the book has no room is given back', async () => {
    const room = await halfOpen({ requests: 60, burstMs: 240_000 });
    await room.dependencies.capacity.park(room.pool, 60_000);
    expect(await ask(room)).toMatchObject({ kind: 'must_wait' });
    expect(await room.dependencies.breakers.allow(room.target)).toBe('probe');
  });
});

it.each([
  ['slow_down', 0.5],
  ['rate_limit_exceeded', 1],
])('a refusal with %s leaves the pool %d of its limits', async (providerCode, share) => {
  const room = open({ requests: 60, burstMs: 240_000 });
  const failure = { code: 'provider_rate_limited', providerCode, maybeBilled: false };
  const refused = {
    judged: {
      happening: { kind: 'failed', message: '', failure, retryAfterMs: 10 },
      attempt: { status: 'failed', usage: null },
    },
    arrivedBy: performance.now(),
  } as unknown as Sending;
  await returnPermit(room.dependencies, stepOf(room), await mustGet(room), refused);
  expect(await room.dependencies.capacity.read(room.pool)).toMatchObject({ share, refusals: 1 });
});
