import { createBreakers } from '@millrace/capacity';
import { changeRoutes } from '@millrace/ledger';
import type { RouteChange } from '@millrace/ledger';
import { joinJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { announceRouteChange } from '@millrace/transport';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestWorker } from '../testing/start-test-worker.ts';
import type { TestWorker } from '../testing/start-test-worker.ts';

const LUNA = 'openai/gpt-6-luna';
const SOL = 'openai/gpt-6.1-sol';
const HAIKU = 'anthropic/claude-haiku-5-5';
const SONNET = 'anthropic/claude-sonnet-5-5';
const OPUS = 'anthropic/claude-opus-5-5';

const config = `pools:
  narrow: {targets: [${SOL}], max_concurrent_calls: 1}
routes:
  both: {targets: [{target: ${LUNA}}, {target: ${HAIKU}}]}
  narrow: {targets: [{target: ${SOL}}], fallback: [${HAIKU}]}
  waits: {targets: [{target: ${LUNA}}]}
  alone: {targets: [{target: ${OPUS}}]}
  fails: {targets: [{target: ${LUNA}}], degraded: fail}
  cheapest: {targets: [{target: ${LUNA}}], degraded: {use: ${SONNET}}}
  stale: {targets: [{target: ${LUNA}}], degraded: {stale_for: 1h}}
`;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({ config, workers: 2 });
});
afterAll(async () => {
  await worker.stop();
});
beforeEach(async () => {
  await worker.database.query('TRUNCATE route_overrides');
  await announce();
});

const call = (route: string, prompt = 'Say yes.') => ({ type: 'call', route, prompt });
const announce = () => announceRouteChange(worker.redis, worker.names, () => undefined);
const change = (...changes: Omit<RouteChange, 'configuredWeight'>[]) =>
  changeRoutes(
    worker.database,
    { apiKeyId: 'key', tenantId: 'acme' },
    changes.map((each) => ({ ...each, configuredWeight: 1 })),
  );
const switchOff = async (...targets: string[]) => {
  await change(...targets.map((target) => ({ route: null, target, enabled: false })));
  await announce();
};
/** Submits calls and returns the targets that answered them. */
const targetsOf = async (route: string, count: number): Promise<(string | null)[]> => {
  const ids = await Promise.all(Array.from({ length: count }, () => worker.submit(call(route))));
  return Promise.all(
    ids.map(async (id) => {
      expect(await worker.ended(id, 30_000)).toMatchObject({ status: 'completed' });
      return (await worker.steps(id))[0]!.target;
    }),
  );
};
const passMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a change of a route', () => {
  it('is in force on all workers within two seconds, even when nobody announces it', async () => {
    expect(new Set(await targetsOf('both', 30))).toEqual(new Set([LUNA, HAIKU]));
    const isOnly = async (target: string, ...changes: Parameters<typeof change>): Promise<boolean> => {
      await change(...changes);
      // This is the promise itself, not a wait for something.
      await passMs(2_000);
      return (await targetsOf('both', 30)).every((each) => each === target);
    };
    const inForce = { switchedOff: false, withoutWeight: false };
    // Every worker asks PostgreSQL once in a second, which may have had no time for one of them in two of the three rounds.
    for (let round = 0; round < 3 && !(inForce.switchedOff && inForce.withoutWeight); round += 1) {
      const switchedOff = { route: null, target: LUNA, enabled: false };
      const withoutWeight = { route: 'both', target: HAIKU, weight: 0 };
      if (await isOnly(HAIKU, switchedOff, { ...withoutWeight, weight: null })) inForce.switchedOff = true;
      if (await isOnly(LUNA, { ...switchedOff, enabled: null }, withoutWeight)) inForce.withoutWeight = true;
    }
    expect(inForce).toEqual({ switchedOff: true, withoutWeight: true });
  }, 180_000);

  it('takes steps away that wait for a target which is switched off, and no call goes there any more', async () => {
    const slow = await worker.submit(call('narrow', '[[sim:latency=15000]] [[sim:reply=slow]]'));
    const callsTo = (model: string) =>
      joinJournal(worker.simulator.journal()).filter((entry) => entry.model === model);
    await waitFor(() => callsTo('gpt-6.1-sol').length === 1, { what: 'the slow call to be sent' });
    const waiting = await Promise.all([1, 2, 3].map(() => worker.submit(call('narrow'))));
    await waitFor(
      async () =>
        (await Promise.all(waiting.map((id) => worker.steps(id)))).every((steps) => steps.length === 1),
      { what: 'the others to be placed' },
    );
    await switchOff(SOL);
    for (const id of waiting) {
      expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1 });
      const [step] = await worker.steps(id);
      expect(step).toMatchObject({ target: HAIKU, degraded: null });
    }
    // While the slow call is still under way, so that it was the switch that took them away.
    expect(callsTo('gpt-6.1-sol')).toMatchObject([{ end: null }]);
    expect(await worker.ended(slow, 40_000)).toMatchObject({ status: 'completed', output: 'slow' });
    expect(callsTo('gpt-6.1-sol')).toHaveLength(1);
  }, 60_000);
});

describe('a route whose targets are all switched off', () => {
  it('lets its calls wait, and go when one is back', async () => {
    await switchOff(LUNA);
    const id = await worker.submit(call('waits'));
    await waitFor(async () => (await worker.steps(id)).length === 1, { what: 'the step' });
    await passMs(500);
    expect((await worker.steps(id))[0]).toMatchObject({ status: 'pending', attempts: [] });
    await change({ route: null, target: LUNA, enabled: null });
    await announce();
    expect(await worker.ended(id, 20_000)).toMatchObject({ status: 'completed', calls: 1, degraded: false });
  });

  it('fails them with an error that says why when their deadline leaves no time to wait', async () => {
    await switchOff(LUNA);
    const id = await worker.submit({ ...call('waits'), deadline: '3s' });
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      calls: 0,
      error: { code: 'providers_unavailable' },
    });
  });

  it('fails them where it is configured so, with an error that says it', async () => {
    await switchOff(LUNA);
    const id = await worker.submit(call('fails'));
    expect(await worker.ended(id)).toMatchObject({
      status: 'failed',
      calls: 0,
      error: { code: 'providers_unavailable', step: 'call' },
    });
  });

  it('sends them to its last resort, and says so', async () => {
    await switchOff(LUNA);
    const id = await worker.submit(call('cheapest'));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', calls: 1, degraded: true });
    const [step] = await worker.steps(id);
    expect(step).toMatchObject({ target: SONNET, degraded: 'cheapest' });
  });

  it('gives an earlier answer to an identical request, and says so; others wait', async () => {
    const asked = call('stale', 'What time is it? [[sim:reply=noon]]');
    const first = await worker.submit(asked);
    expect(await worker.ended(first)).toMatchObject({ output: 'noon', degraded: false });
    await switchOff(LUNA);
    const again = await worker.submit(asked);
    expect(await worker.ended(again)).toMatchObject({
      status: 'completed',
      output: 'noon',
      calls: 0,
      costMicroUsd: 0,
      degraded: true,
    });
    expect((await worker.steps(again))[0]).toMatchObject({ degraded: 'stale', attempts: [] });
    const other = await worker.submit(call('stale', 'Where are we? [[sim:reply=here]]'));
    await waitFor(async () => (await worker.steps(other)).length === 1, { what: 'the step' });
    await passMs(300);
    expect((await worker.steps(other))[0]?.status).toBe('pending');
    await change({ route: null, target: LUNA, enabled: null });
    await announce();
    expect(await worker.ended(other, 20_000)).toMatchObject({ output: 'here', degraded: false });
  });
});

// Last, because breakers stay open.
describe('a target whose breaker is open', () => {
  it('gets no calls while another works, and a route that is down by breakers is down', async () => {
    const breakers = createBreakers({ redis: worker.redis, names: worker.names, onError: () => undefined });
    // More than the calls of the last minute that went well.
    await Promise.all(Array.from({ length: 300 }, () => breakers.record(LUNA, false)));
    await waitFor(async () => !(await targetsOf('both', 20)).includes(LUNA), {
      what: 'the breaker to be seen',
    });
    const id = await worker.submit(call('cheapest'));
    expect(await worker.ended(id)).toMatchObject({ status: 'completed', degraded: true });
    expect((await worker.steps(id))[0]).toMatchObject({ target: SONNET, degraded: 'cheapest' });
  });

  it('fails a call with an error that says why when its deadline leaves no time to wait, and lets others wait', async () => {
    // No probe before the deadline, or it would be back.
    const policy = { openMs: 60_000, longestOpenMs: 60_000 };
    const onError = () => undefined;
    const breakers = createBreakers({ redis: worker.redis, names: worker.names, onError, policy });
    await Promise.all(Array.from({ length: 20 }, () => breakers.record(OPUS, false)));
    // Workers go by what they heard of a breaker in the last quarter of a second.
    await passMs(500);
    const patient = await worker.submit(call('alone'));
    const startedAt = performance.now();
    const hurried = await worker.submit({ ...call('alone'), deadline: '6s' });
    expect(await worker.ended(hurried)).toMatchObject({
      status: 'failed',
      calls: 0,
      error: {
        code: 'providers_unavailable',
        step: 'call',
        message: expect.stringMatching(/claude-opus-5-5 .*deadline leaves no time/) as string,
      },
    });
    // Until shortly before the deadline the target might have come back.
    expect(performance.now() - startedAt).toBeGreaterThan(2_000);
    expect(performance.now() - startedAt).toBeLessThan(7_000);
    expect((await worker.steps(patient))[0]).toMatchObject({ status: 'pending', attempts: [] });
    await worker.redis.del(worker.names.breaker(OPUS));
    expect(await worker.ended(patient, 20_000)).toMatchObject({ status: 'completed', calls: 1 });
  }, 60_000);
});
