import { setTimeout as pause } from 'node:timers/promises';
import { waitFor } from '@millrace/test-support';
import { accountOf, workedMs } from '@millrace/simulator';
import type { JournalledCall } from '@millrace/simulator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** What docs/routing.md promises: so long after the change was answered, every worker obeys. */
const IN_FORCE_MS = 2_000;
const LUNA = 'openai/gpt-6-luna';
const HAIKU = 'anthropic/claude-haiku-5-5';
/** Each worker process has a key of its own, so that the provider's journal tells them apart. */
const WORKERS = ['key-of-the-first', 'key-of-the-second'].map(accountOf) as [string, string];

let stack: TestStack;
let provider: SimulatedProvider;
let client: ReturnType<typeof createHttpClient>;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 0,
    configuration: `routes:
  both: {targets: [{target: ${LUNA}, weight: 1}, {target: ${HAIKU}, weight: 1}]}
`,
    environment: { SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 100, latencyJitterMs: 50 }) },
  });
  for (const key of ['key-of-the-first', 'key-of-the-second']) {
    await stack.spawn('worker', {
      OPENAI_API_KEY: key,
      ANTHROPIC_API_KEY: key,
      MILLRACE_WORKER_CONCURRENCY: '8',
    });
  }
  provider = simulatedProvider(stack);
  client = createHttpClient(stack);
}, 60_000);
afterAll(() => stack.end());

it('a change of a route is obeyed by two worker processes within two seconds, and is written down', async () => {
  const flow = startFlow();
  const startedAt = Date.now();
  await bothCall(LUNA, startedAt);
  await bothCall(HAIKU, startedAt);
  // Processes that have just started are busy with that.
  await bothWork(startedAt);

  const changes = [
    { what: 'weight 0', change: () => patchRoute([{ target: HAIKU, weight: 0 }]), leaves: HAIKU },
    {
      what: 'weight as configured',
      change: () => patchRoute([{ target: HAIKU, weight: null }]),
      joins: HAIKU,
    },
    { what: 'off on the route', change: () => patchRoute([{ target: LUNA, enabled: false }]), leaves: LUNA },
    { what: 'on on the route', change: () => patchRoute([{ target: LUNA, enabled: true }]), joins: LUNA },
    { what: 'off everywhere', change: () => patchTarget(HAIKU, false), leaves: HAIKU },
    { what: 'on everywhere', change: () => patchTarget(HAIKU, true), joins: HAIKU },
  ];
  const took: Record<string, number[]> = {};
  for (const { what, change, leaves, joins } of changes) {
    const response = await change();
    const changedAt = Date.now();
    expect([what, response.status, response.text]).toEqual([what, 200, expect.anything()]);
    took[what] = leaves ? await lastCalls(leaves, changedAt) : await bothCall(joins!, changedAt);
  }
  console.log('ms until the first and the second worker obeyed:', took);
  for (const [what, times] of Object.entries(took)) {
    for (const ms of times) expect(ms, what).toBeLessThanOrEqual(IN_FORCE_MS);
  }

  const ids = await flow.end();
  const ended = await client.allEnded(ids, 60_000);
  expect(ended.filter((job) => job.status !== 'completed').map((job) => job.error)).toEqual([]);
  await expectAudit();
}, 240_000);

/** One call every 30 ms until it is told to end. */
function startFlow() {
  const ids: string[] = [];
  let flows = true;
  const flowing = (async () => {
    for (let index = 0; flows; index += 1) {
      const request = { type: 'call', route: 'both', prompt: `Flow ${index}`, max_output_tokens: 20 };
      ids.push((await client.submit(`flow-${index}`, request)).id);
      await pause(30);
    }
  })();
  return {
    async end() {
      flows = false;
      await flowing;
      return ids;
    },
  };
}

const callsOf = (account: string, target: string, afterAt: number): JournalledCall[] =>
  provider
    .calls()
    .filter(
      (call) =>
        call.account === account && target.endsWith(`/${call.model}`) && Date.parse(call.at) > afterAt,
    );

/** How much time a worker had between two instants, in which it always has calls to send. */
const hadMs = (account: string, sinceAt: number, untilAt: number): number =>
  workedMs(
    provider.calls().flatMap((call) => (call.account === account ? Date.parse(call.at) : [])),
    sinceAt,
    untilAt,
  );

/** Waits until both workers have called a target after this instant; for each, how much time it had before. */
async function bothCall(target: string, sinceAt: number): Promise<number[]> {
  await waitFor(() => WORKERS.every((account) => callsOf(account, target, sinceAt).length > 0), {
    timeoutMs: 15_000,
    what: () => `both workers to call ${target}\n${stack.logs()}`,
  });
  return WORKERS.map((account) =>
    hadMs(account, sinceAt, Date.parse(callsOf(account, target, sinceAt)[0]!.at)),
  );
}

/** Waits until both workers have worked for five seconds after this instant. */
const bothWork = (sinceAt: number): Promise<true> =>
  waitFor(() => WORKERS.every((account) => hadMs(account, sinceAt, Date.now()) > 5_000), {
    timeoutMs: 20_000,
    intervalMs: 100,
    what: 'both workers to work for five seconds',
  });

/**
 * How much time each worker had after a change until it called a target for the last time (0: not once), while both worked for
 * five seconds.
 */
async function lastCalls(target: string, changedAt: number): Promise<number[]> {
  const other = target === LUNA ? HAIKU : LUNA;
  await bothWork(changedAt);
  // Enough of them went elsewhere in that time, so that those which should not have gone here would have been seen.
  for (const account of WORKERS) {
    expect(callsOf(account, other, changedAt + IN_FORCE_MS).length).toBeGreaterThanOrEqual(10);
  }
  return WORKERS.map((account) => {
    const last = callsOf(account, target, changedAt).at(-1);
    return last ? hadMs(account, changedAt, Date.parse(last.at)) : 0;
  });
}

const patchRoute = (targets: unknown) => client.ask('PATCH', '/v1/admin/routes/both', { targets });
const patchTarget = (target: string, enabled: boolean) =>
  client.ask('PATCH', `/v1/admin/targets/${encodeURIComponent(target)}`, { enabled });

async function expectAudit(): Promise<void> {
  const { body } = await client.ask('GET', '/v1/admin/routes/changes');
  const { data } = body as { data: Record<string, unknown>[] };
  const on = { weight: 1, enabled: true };
  const everywhere = (enabled: boolean) => expect.objectContaining({ enabled }) as unknown;
  expect(data.toReversed()).toMatchObject([
    { route: 'both', target: HAIKU, before: on, after: { weight: 0, enabled: true } },
    { route: 'both', target: HAIKU, before: { weight: 0, enabled: true }, after: on },
    { route: 'both', target: LUNA, before: on, after: { weight: 1, enabled: false } },
    { route: 'both', target: LUNA, before: { weight: 1, enabled: false }, after: on },
    { route: null, target: HAIKU, before: everywhere(true), after: everywhere(false) },
    { route: null, target: HAIKU, before: everywhere(false), after: everywhere(true) },
  ]);
  const anyText = expect.any(String) as unknown;
  for (const change of data) {
    expect(change).toMatchObject({ api_key_id: anyText, tenant_id: anyText });
    expect(Date.parse(String(change.at))).toBeGreaterThan(Date.now() - 300_000);
  }
}
