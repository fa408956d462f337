import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import {
  accountOf,
  startSimulator,
  type AccountUsage,
  type ConfigPatch,
  type RunningSimulator,
} from '../index.ts';

let simulator: RunningSimulator;
afterEach(async () => {
  await simulator.stop();
});

async function start(config: ConfigPatch): Promise<void> {
  simulator = await startSimulator({ config });
}

function openaiFor(key: string): OpenAI {
  return new OpenAI({ apiKey: key, baseURL: `${simulator.url}/openai/v1`, maxRetries: 0 });
}

async function ask(client: OpenAI, prompt = 'x', maxTokens?: number): Promise<Response> {
  const answer = client.chat.completions.create({
    model: 'gpt-6-luna',
    messages: [{ role: 'user', content: prompt }],
    ...(maxTokens === undefined ? {} : { max_completion_tokens: maxTokens }),
  });
  return answer.asResponse();
}

async function refusal(asked: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  return asked.then(
    () => {
      throw new Error('the call was let in');
    },
    (reason: unknown) => reason as InstanceType<typeof OpenAI.APIError>,
  );
}

async function usage(): Promise<readonly AccountUsage[]> {
  return ((await (await fetch(`${simulator.url}/_simulator/usage`)).json()) as { accounts: AccountUsage[] })
    .accounts;
}

describe('OpenAI limits', () => {
  it('refuse the request above the limit of one account and leave another alone', async () => {
    await start({ limits: { openai: { requests: 3 } } });
    const client = openaiFor('sk-one');
    for (let index = 0; index < 3; index += 1) {
      const answer = await ask(client);
      expect(answer.headers.get('x-ratelimit-limit-requests')).toBe('3');
      expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe(String(2 - index));
      expect(answer.headers.get('x-ratelimit-reset-requests')).toMatch(/^(?:5\d\.?\d*s|1m0s)$/);
    }
    const error = await refusal(ask(client));
    expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' });
    expect(error.message).toMatch(
      /Rate limit reached for gpt-6-luna .* on requests per min \(RPM\): Limit 3, Used 3, Requested 1\. Please try again in/,
    );
    expect(Number(error.headers!.get('retry-after'))).toBeGreaterThan(50);
    await ask(openaiFor('sk-two'));
    const seen = (await usage()).find((each) => each.account === accountOf('sk-one'))!;
    expect(seen).toMatchObject({
      calls: 4,
      refused429: 1,
      fullestMinute: { requests: 3 },
      fullestMinuteOffered: { requests: 4 },
    });
  });

  it('charge the larger of the output limit and an estimate of the input', async () => {
    await start({ limits: { openai: { tokens: 1_000 } } });
    const client = openaiFor('sk-one');
    const first = await ask(client, 'x', 600);
    expect(first.headers.get('x-ratelimit-remaining-tokens')).toBe('400');
    const second = await ask(client, 'word '.repeat(240));
    expect(second.headers.get('x-ratelimit-remaining-tokens')).toBe('100');
    const error = await refusal(ask(client, 'x', 101));
    expect(error).toMatchObject({ status: 429, type: 'tokens' });
    expect(error.message).toContain('Limit 1000, Used 900, Requested 101');
    const tooLarge = await refusal(ask(client, 'x', 1_001));
    expect(tooLarge.message).toContain('Request too large');
    expect(tooLarge.headers!.get('retry-after')).toBeNull();
    const [seen] = await usage();
    expect(seen).toMatchObject({ fullestMinute: { tokens: 900 }, fullestMinuteOffered: { tokens: 2_002 } });
  });

  it('let a call in again when the window has moved on, exactly when retry-after-ms said', async () => {
    await start({ limits: { openai: { requests: 1 }, windowMs: 1_500, countRefused: false } });
    const client = openaiFor('sk-one');
    await ask(client);
    const waitMs = Number((await refusal(ask(client))).headers!.get('retry-after-ms'));
    expect(waitMs).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, waitMs + 5));
    await ask(client);
    expect((await usage())[0]).toMatchObject({ retryAfterViolations: 0, fullestMinute: { requests: 1 } });
  });

  it('count a call that comes before its retry-after', async () => {
    await start({ limits: { retryAfterGraceMs: 0 } });
    const client = openaiFor('sk-one');
    const prompt = '[[sim:fault=rate_limit;times=1;retry_after=30]]';
    await refusal(ask(client, prompt));
    await ask(client, prompt);
    expect((await usage())[0]).toMatchObject({ retryAfterViolations: 1, retryAfterViolationsOfStep: 1 });
  });

  it('count failed calls and calls in flight', async () => {
    await start({ limits: { openai: { requests: 10, concurrency: 2 } } });
    const client = openaiFor('sk-one');
    await refusal(ask(client, '[[sim:fault=rate_limit;retry_after=none]]'));
    const stop = new AbortController();
    const hanging = ['a', 'b'].map((name) => {
      const messages = [{ role: 'user' as const, content: `[[sim:fault=hang]] ${name}` }];
      return client.chat.completions.create({ model: 'gpt-6-luna', messages }, { signal: stop.signal });
    });
    const settled = Promise.allSettled(hanging);
    await expect.poll(async () => (await usage())[0]!.concurrency).toBe(2);
    expect(await refusal(ask(client, 'c'))).toMatchObject({ status: 429 });
    stop.abort();
    await settled;
    await expect.poll(async () => (await usage())[0]!.concurrency).toBe(0);
    expect((await usage())[0]).toMatchObject({
      peakConcurrency: 2,
      concurrency: 0,
      fullestMinute: { requests: 3 },
    });
  });
});

describe('Anthropic limits', () => {
  it('count uncached input when it comes and output as it is produced', async () => {
    await start({ limits: { anthropic: { inputTokens: 20_000, outputTokens: 50, requests: 100 } } });
    const client = new Anthropic({ apiKey: 'sk-ant', baseURL: `${simulator.url}/anthropic`, maxRetries: 0 });
    const send = (prompt: string): Promise<Response> =>
      client.messages
        .create({
          model: 'claude-haiku-5-5',
          max_tokens: 4_000,
          messages: [{ role: 'user', content: prompt }],
        })
        .asResponse();
    const first = await send('[[sim:tokens=49]]');
    expect(first.headers.get('anthropic-ratelimit-requests-remaining')).toBe('99');
    expect(first.headers.get('anthropic-ratelimit-input-tokens-limit')).toBe('20000');
    expect(first.headers.get('anthropic-ratelimit-output-tokens-limit')).toBe('50');
    expect(first.headers.get('anthropic-ratelimit-tokens-reset')).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    );
    await send('[[sim:tokens=30]]');
    const error = (await refusal(send('x'))) as unknown as InstanceType<typeof Anthropic.APIError>;
    expect(error).toMatchObject({ status: 429, type: 'rate_limit_error' });
    expect(error.message).toContain('50 output tokens per minute');
    expect(Number(error.headers!.get('retry-after'))).toBeGreaterThan(50);
    expect((await usage())[0]).toMatchObject({ fullestMinute: { outputTokens: 79, requests: 2 } });
  });

  it('leave cache reads and failed calls out', async () => {
    await start({});
    const client = new Anthropic({ apiKey: 'sk-ant', baseURL: `${simulator.url}/anthropic`, maxRetries: 0 });
    const send = (prompt: string): Promise<Anthropic.Message> =>
      client.messages.create({
        model: 'claude-haiku-4-5',
        max_tokens: 100,
        messages: [{ role: 'user', content: prompt }],
      });
    const answer = await send(
      '[[sim:cached=20]] [[sim:reply=x]] some words that make a prompt of more than twenty tokens in all, as it must be',
    );
    await refusal(send('[[sim:fault=overloaded]]'));
    expect((await usage())[0]).toMatchObject({
      fullestMinute: { requests: 1, inputTokens: answer.usage.input_tokens },
    });
  });
});
