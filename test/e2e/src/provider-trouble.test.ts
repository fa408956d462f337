import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { JournalledCall } from '@millrace/simulator';
import { createHttpClient } from './http-client.ts';
import { mixedJob } from './mixed-jobs.ts';
import { simulatedProvider } from './simulated-provider.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

let stack: TestStack;
let provider: SimulatedProvider;
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, environment: { MILLRACE_WORKER_CONCURRENCY: '32' } });
  provider = simulatedProvider(stack);
});
afterEach(() => provider.clearFaults());
afterAll(() => stack.end());

/** What 20 calls of a hundred meet: every kind that a provider is known for, and that trying again can cure. */
const MIXED_FAULTS = [
  { kind: 'server_error', share: 0.04 },
  { kind: 'unavailable', share: 0.03 },
  { kind: 'overloaded', share: 0.02 },
  { kind: 'rate_limit', share: 0.03, retry_after: 1 },
  { kind: 'reset', share: 0.02 },
  { kind: 'truncate', share: 0.02 },
  { kind: 'stream_error', share: 0.02 },
  { kind: 'garbage', share: 0.02 },
];

const call = (name: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt: `Answer (${name}) [[sim:reply=answer ${name}]]`,
  max_output_tokens: 20,
  ...more,
});

it('brings 200 jobs to their end while one call in five meets trouble, and pays no step twice', async () => {
  const client = createHttpClient(stack);
  for (const fault of MIXED_FAULTS) await provider.fault(fault);
  const jobs = await Promise.all(
    Array.from({ length: 200 }, (_, index) => client.submit(`mixed-${index}`, mixedJob(index))),
  );
  const ids = jobs.map((job) => job.id);
  const ended = await client.allEnded(ids, 100_000);
  report('mixed faults', ids);
  const ambiguous = ended.reduce((sum, job) => sum + job.usage.ambiguous_calls, 0);
  console.log(`${ambiguous} ambiguous calls`);
  expect(
    ended.filter((job) => job.status !== 'completed').map((job) => [job.id, job.status, job.error]),
  ).toEqual([]);

  for (const [step, count] of completed(ids)) {
    if (count === 1) continue;
    const [jobId, ...key] = step.split('/');
    const found = (await client.steps(jobId!)).find((each) => each.key === key.join('/'));
    expect({ step, count, ambiguous: found?.ambiguous }).toEqual({ step, count, ambiguous: true });
  }
}, 130_000);

it('brings every job to an end when both providers are down for 20 s, and tells how often they were asked', async () => {
  const client = createHttpClient(stack);
  await provider.fault({ kind: 'unavailable', seconds: 20, match: { dialect: 'openai' } });
  await provider.fault({ kind: 'overloaded', seconds: 20, match: { dialect: 'anthropic' } });
  const startedAt = Date.now();
  const jobs = await Promise.all(
    Array.from({ length: 40 }, (_, index) => client.submit(`down-${index}`, call(`d${index}`))),
  );
  const ids = jobs.map((job) => job.id);
  const ended = await client.allEnded(ids, 90_000);
  console.log(
    `all ended ${Math.round((Date.now() - startedAt - 20_000) / 1_000)} s after the provider was back`,
  );
  report('provider down for 20 s', ids);
  // Waiting for a breaker uses up no attempt, so no job runs out of them.
  expect(ended.filter((job) => job.status !== 'completed').map((job) => job.error)).toEqual([]);
  expect([...completed(ids).values()].filter((count) => count !== 1)).toEqual([]);
}, 120_000);

it('falls over to Anthropic when OpenAI does not recover', async () => {
  const client = createHttpClient(stack);
  await provider.fault({ kind: 'permission', match: { dialect: 'openai' } });
  const job = await client.submit('fallback', call('fallback', { route: 'quality' }));
  expect(await client.allEnded([job.id], 30_000)).toMatchObject([
    { status: 'completed', output: 'answer fallback' },
  ]);
  const [step] = await client.steps(job.id);
  expect(step!.target).toBe('anthropic/claude-sonnet-5-5');
  expect(step!.attempts.map((each) => [each.target, each.status])).toEqual([
    ['openai/gpt-6.1-sol', 'failed'],
    ['anthropic/claude-sonnet-5-5', 'completed'],
  ]);
}, 40_000);

it('asks an account without quota once, not again and again, and goes elsewhere where a route allows it', async () => {
  const client = createHttpClient(stack);
  await provider.fault({ kind: 'insufficient_quota', match: { dialect: 'openai' } });
  const first = await client.submit(
    'quota-first',
    call('quota first', { route: undefined, model: 'openai/gpt-6-luna' }),
  );
  expect(await client.allEnded([first.id], 20_000)).toMatchObject([
    { status: 'failed', error: { code: 'provider_quota' } },
  ]);
  expect(provider.callsOf(first.id)).toHaveLength(1);

  // The first one that may go elsewhere tells the fleet to leave the account alone for a while.
  const scout = await client.submit('quota-scout', call('quota scout'));
  expect(await client.allEnded([scout.id], 20_000)).toMatchObject([{ status: 'completed' }]);
  const routed = await Promise.all(
    Array.from({ length: 50 }, (_, index) => client.submit(`quota-${index}`, call(`q${index}`))),
  );
  const ids = routed.map((job) => job.id);
  const ended = await client.allEnded(ids, 30_000);
  expect(ended.map((job) => job.status)).toEqual(ids.map(() => 'completed'));
  const asked = ids.flatMap((id) => provider.callsOf(id)).filter((each) => each.dialect === 'openai');
  expect(asked).toEqual([]);
}, 60_000);

it('fails at once what trying again cannot cure', async () => {
  const client = createHttpClient(stack);
  const cases = [
    ['bad_request', 'provider_refused_request'],
    ['context_length', 'context_length_exceeded'],
    ['content_policy', 'content_refused'],
  ] as const;
  for (const [kind, code] of cases) {
    const job = await client.submit(
      `terminal-${kind}`,
      call(kind, {
        route: undefined,
        model: 'anthropic/claude-haiku-5-5',
        prompt: `Go [[sim:fault=${kind}]]`,
      }),
    );
    const [ended] = await client.allEnded([job.id], 15_000);
    expect([kind, ended!.status, ended!.error?.code]).toEqual([
      kind,
      'failed',
      // Anthropic tells them apart by words only, and words are not what is decided by.
      expect.stringMatching(new RegExp(`^(${code}|provider_refused_request)$`)),
    ]);
    expect([kind, provider.callsOf(job.id).length]).toEqual([kind, 1]);
  }
}, 60_000);

/** How often the provider completed each step of these jobs. */
function completed(ids: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const each of callsOf(ids)) {
    if (each.end?.status !== 200 || !each.end.finished) continue;
    const step = each.stepId!.replace(/#\d+$/, '');
    counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  return counts;
}

function callsOf(ids: readonly string[]): JournalledCall[] {
  const wanted = new Set(ids);
  return provider.calls().filter((each) => wanted.has(each.stepId!.split('/')[0]!));
}

function report(what: string, ids: readonly string[]): void {
  const calls = callsOf(ids);
  const steps = new Set(calls.map((each) => each.stepId!.replace(/#\d+$/, ''))).size;
  const twice = [...completed(ids).values()].filter((count) => count > 1).length;
  const ratio = (calls.length / steps).toFixed(2);
  console.log(`${what}: ${calls.length} calls for ${steps} steps (${ratio}), ${twice} steps completed twice`);
}
