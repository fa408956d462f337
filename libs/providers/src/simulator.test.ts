import { RetryableError, TerminalError } from '@millrace/contracts';
import { joinJournal, startSimulator } from '@millrace/simulator';
import type { JournalledCall, RunningSimulator } from '@millrace/simulator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProvider } from './create-provider.ts';
import { costMicroUsd } from './prices/call-cost.ts';
import { loadPriceCatalogue, modelFacts } from './prices/price-catalogue.ts';
import type { Provider } from './provider.ts';
import { abortOf, aCall, failureOf, hooks } from './testing/call-builder.ts';
import { estimateInputTokens } from './tokens/estimate-input-tokens.ts';

let simulator: RunningSimulator;
let providers: Record<string, Provider>;
const catalogue = loadPriceCatalogue();
const models: Record<string, string> = {
  openai: 'gpt-6-luna',
  openai_compatible: 'gpt-4.1-mini',
  anthropic: 'claude-haiku-5-5',
};
const kinds = ['openai', 'openai_compatible', 'anthropic'] as const;

beforeAll(async () => {
  simulator = await startSimulator();
  const common = { apiKey: 'sk-simulated', maxConcurrentSockets: 16 };
  providers = Object.fromEntries(
    kinds.map((kind) => [
      kind,
      createProvider({
        ...common,
        name: kind,
        kind,
        baseUrl: kind === 'anthropic' ? simulator.url : `${simulator.url}/v1`,
        tokenizerFactor: (model) => modelFacts(catalogue, model)?.tokenizerFactor ?? 1,
      }),
    ]),
  );
});
afterAll(() => simulator.stop());

let lastTag = 0;

/** A call whose prompt orders the simulator about, with a tag of its own. */
function ordered(kind: string, marker: string, overrides: Parameters<typeof aCall>[0] = {}) {
  lastTag += 1;
  const content = `Why do millers love rivers? ${marker}`;
  const requestTag = `job_sim/step#${lastTag}`;
  return aCall({ model: models[kind]!, messages: [{ role: 'user', content }], requestTag, ...overrides });
}

/** What the simulator wrote down about the call with this tag: exactly one request. */
function journalled(tag: string): JournalledCall {
  const calls = joinJournal(simulator.journal()).filter((call) => call.stepId === tag);
  expect(calls).toHaveLength(1);
  return calls[0]!;
}

describe.each(kinds)('%s against the simulator', (kind) => {
  test('an answer has the tokens that the vendor billed, and was one request', async () => {
    const call = ordered(kind, '[[sim:tokens=40]][[sim:cached=8]]');
    const pieces: string[] = [];
    const answer = await providers[kind]!.call(call, hooks({ onText: (text) => pieces.push(text) }));
    const { end } = journalled(call.requestTag);
    expect(end).toMatchObject({ finished: true, status: 200, fault: null });
    expect(answer.usage).toMatchObject({
      inputTokens: end!.inputTokens,
      cachedInputTokens: end!.cachedInputTokens,
      outputTokens: end!.outputTokens,
    });
    expect(answer).toMatchObject({ finish: 'stop', usageEstimated: false });
    expect(pieces.join('')).toBe(answer.text);
    expect(answer.limits.requests?.limit).toBeGreaterThan(0);
    const estimate = estimateInputTokens(call, modelFacts(catalogue, call.model)?.tokenizerFactor ?? 1);
    expect(Math.abs(estimate - answer.usage.inputTokens)).toBeLessThanOrEqual(answer.usage.inputTokens * 0.3);
  });

  test('an answer cut at the output limit says so', async () => {
    const call = ordered(kind, '[[sim:tokens=200]]', { maxOutputTokens: 20 });
    const answer = await providers[kind]!.call(call, hooks());
    expect(answer.finish).toBe('length');
    expect(answer.usage.outputTokens).toBe(20);
  });

  test('structured output fits the schema', async () => {
    const schema = {
      type: 'object',
      properties: { label: { type: 'string', enum: ['river', 'wheel'] }, score: { type: 'integer' } },
      required: ['label', 'score'],
      additionalProperties: false,
    };
    const call = ordered(kind, '', { output: { name: 'verdict', schema } });
    const answer = await providers[kind]!.call(call, hooks());
    const value = JSON.parse(answer.text) as { label: string; score: number };
    expect(['river', 'wheel']).toContain(value.label);
    expect(Number.isInteger(value.score)).toBe(true);
  });

  test.each([
    ['rate_limit;retry_after=3', RetryableError, 'provider_rate_limited', 'target'],
    ['rate_limit_tokens', RetryableError, 'provider_rate_limited', 'target'],
    ['insufficient_quota', TerminalError, 'provider_quota', 'account'],
    ['spend_limit', TerminalError, 'provider_quota', 'account'],
    ['flex_unavailable', RetryableError, 'provider_unavailable', 'target'],
    ['invalid_key', TerminalError, 'provider_auth', 'account'],
    ['bad_request', TerminalError, 'provider_refused_request', 'call'],
    ['server_error', RetryableError, 'provider_unavailable', 'call'],
    ['bad_gateway', RetryableError, 'provider_unavailable', null],
    ['unavailable', RetryableError, 'provider_unavailable', null],
    ['gateway_timeout', RetryableError, 'provider_timeout', 'call'],
    ['overloaded', RetryableError, 'provider_unavailable', 'target'],
  ])('the fault %s is told for what it is, after one request', async (fault, errorClass, code, scope) => {
    const call = ordered(kind, `[[sim:fault=${fault}]]`);
    const error = await failureOf(providers[kind]!.call(call, hooks()));
    expect(error).toBeInstanceOf(errorClass);
    expect(error.failure.code).toBe(code);
    if (scope !== null) expect(error.failure.scope).toBe(scope);
    if (fault.includes('retry_after=3')) expect((error as RetryableError).retryAfterMs).toBe(3000);
    journalled(call.requestTag);
  });

  test.each([['truncate;after=3'], ['truncate;after=3;end=clean'], ['garbage;after=3']])(
    'the fault %s is a bad answer that may have been billed',
    async (fault) => {
      // At a pace: headers and the end of the connection in one packet are a connection without an answer to fetch.
      const call = ordered(kind, `[[sim:tokens=30]][[sim:tps=100]][[sim:fault=${fault}]]`);
      const error = await failureOf(providers[kind]!.call(call, hooks()));
      expect(error).toBeInstanceOf(RetryableError);
      expect(error.failure).toMatchObject({
        code: 'provider_bad_answer',
        maybeBilled: true,
        httpStatus: 200,
      });
      expect(journalled(call.requestTag).end?.finished).toBe(false);
    },
  );

  test('an error inside a stream is the vendor failing', async () => {
    const call = ordered(kind, '[[sim:tokens=30]][[sim:fault=stream_error;after=3]]');
    const error = await failureOf(providers[kind]!.call(call, hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', maybeBilled: true, httpStatus: 200 });
  });

  test('a reset may have been billed', async () => {
    const call = ordered(kind, '[[sim:fault=reset]]');
    const error = await failureOf(providers[kind]!.call(call, hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', maybeBilled: true });
    journalled(call.requestTag);
  });

  test('a hang ends with the total time', async () => {
    const call = ordered(kind, '[[sim:fault=hang]]', { timeoutMs: 150 });
    const error = await failureOf(providers[kind]!.call(call, hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_timeout', maybeBilled: true });
  });

  test('a refusal is terminal and has its usage', async () => {
    const call = ordered(kind, '[[sim:fault=refusal]]');
    const error = await failureOf(providers[kind]!.call(call, hooks()));
    expect(error).toBeInstanceOf(TerminalError);
    expect(error.failure.code).toBe('content_refused');
    expect(error.failure.usage?.inputTokens).toBe(journalled(call.requestTag).end?.inputTokens);
  });

  test('missing usage is estimated', async () => {
    const call = ordered(kind, '[[sim:tokens=30]][[sim:fault=missing_usage]]');
    const answer = await providers[kind]!.call(call, hooks());
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage.outputTokens).toBeGreaterThan(10);
  });

  test('an abort reaches the vendor, and reports about what it billed', async () => {
    const unheardOfOne = async (): Promise<number> => {
      const call = ordered(kind, '[[sim:tokens=2000]][[sim:tps=200]]', { maxOutputTokens: 4000 });
      const controller = new AbortController();
      let heard = 0;
      const error = await abortOf(
        providers[kind]!.call(call, {
          signal: controller.signal,
          onText: () => {
            heard += 1;
            if (heard === 10) controller.abort(new Error('cancelled'));
          },
        }),
      );
      expect(error.aborted.textLength).toBeGreaterThan(0);
      await expect.poll(() => journalled(call.requestTag).end?.aborted).toBe(true);
      const { end } = journalled(call.requestTag);
      return end!.outputTokens - error.aborted.usage!.outputTokens;
    };
    // The vendor writes on until it notices; this process, which is both, may have had no time in two of the three.
    let least = Infinity;
    for (let round = 0; round < 3 && least > 100; round += 1) {
      const unheard = await unheardOfOne();
      expect(unheard).toBeGreaterThanOrEqual(-5);
      least = Math.min(least, unheard);
    }
    expect(least).toBeLessThanOrEqual(100);
  });
});

test.each([
  ['openai', 'gpt-6-luna'],
  ['openai', 'gpt-6.1-terra'],
  ['anthropic', 'claude-haiku-5-5'],
  ['anthropic', 'claude-opus-5-5'],
] as const)('the price of %s %s is what the vendor’s bill says', async (kind, model) => {
  await fetch(`${simulator.url}/_simulator/bill`, { method: 'DELETE' });
  const call = ordered(kind, '[[sim:tokens=50]][[sim:cached=6]]', { model });
  const answer = await providers[kind]!.call(call, hooks());
  const { usage, serviceTier } = answer;
  const cost = costMicroUsd(catalogue, {
    kind,
    model: answer.model,
    usage,
    tier: serviceTier,
    at: new Date(),
  });
  const bill = (await (await fetch(`${simulator.url}/_simulator/bill`)).json()) as { total_usd: number };
  expect(cost.known).toBe(true);
  expect(Math.abs(cost.microUsd - bill.total_usd * 1e6)).toBeLessThanOrEqual(0.5 + 1e-6);
});

describe('how sure a model is of its answer', () => {
  test.each(['openai', 'openai_compatible'] as const)('%s tells it when it is asked', async (kind) => {
    const provider = providers[kind]!;
    const meanOf = async (marker: string, logprobs?: boolean) =>
      (await provider.call(ordered(kind, marker, logprobs === undefined ? {} : { logprobs }), hooks()))
        .meanLogprob;
    expect(await meanOf('[[sim:reply=a sure answer]]', true)).toBeGreaterThan(-0.2);
    expect(await meanOf('[[sim:reply=an unsure answer]] [[sim:unsure]]', true)).toBeLessThan(-0.5);
    expect(await meanOf('[[sim:reply=an answer]]')).toBeUndefined();
  });

  test('anthropic has no word for it', async () => {
    const call = ordered('anthropic', '[[sim:reply=an answer]]', { logprobs: true });
    expect((await providers['anthropic']!.call(call, hooks())).meanLogprob).toBeUndefined();
  });
});
