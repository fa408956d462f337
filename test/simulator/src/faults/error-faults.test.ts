import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { joinJournal, startSimulator, type JournalledCall, type RunningSimulator } from '../index.ts';

let simulator: RunningSimulator;
let openai: OpenAI;
let anthropic: Anthropic;

beforeEach(async () => {
  simulator = await startSimulator();
  openai = new OpenAI({
    apiKey: 'sk-faults',
    baseURL: `${simulator.url}/openai/v1`,
    maxRetries: 0,
    logLevel: 'off',
  });
  anthropic = new Anthropic({
    apiKey: 'sk-faults',
    baseURL: `${simulator.url}/anthropic`,
    maxRetries: 0,
    logLevel: 'off',
  });
});
afterEach(async () => {
  await simulator.stop();
});

async function chat(prompt: string): Promise<OpenAI.ChatCompletion> {
  return openai.chat.completions.create({
    model: 'gpt-6-luna',
    messages: [{ role: 'user', content: prompt }],
  });
}

async function message(prompt: string): Promise<Anthropic.Message> {
  return anthropic.messages.create({
    model: 'claude-haiku-5-5',
    max_tokens: 200,
    messages: [{ role: 'user', content: prompt }],
  });
}

async function lastCall(): Promise<JournalledCall> {
  await expect.poll(() => joinJournal(simulator.journal()).at(-1)?.end ?? null).not.toBeNull();
  return joinJournal(simulator.journal()).at(-1)!;
}

describe('error faults in the OpenAI dialect', () => {
  it.each([
    ['rate_limit', 429, 'rate_limit_exceeded'],
    ['rate_limit_tokens', 429, 'rate_limit_exceeded'],
    ['insufficient_quota', 429, 'insufficient_quota'],
    ['spend_limit', 429, 'insufficient_quota'],
    ['flex_unavailable', 429, 'resource_unavailable'],
    ['invalid_key', 401, 'invalid_api_key'],
    ['permission', 403, 'model_not_found'],
    ['bad_request', 400, 'invalid_value'],
    ['context_length', 400, 'context_length_exceeded'],
    ['content_policy', 400, 'invalid_prompt'],
    ['server_error', 500, null],
    ['bad_gateway', 502, undefined],
    ['unavailable', 503, 'server_is_overloaded'],
    ['slow_down', 503, 'slow_down'],
    ['gateway_timeout', 504, undefined],
    ['overloaded', 503, 'server_is_overloaded'],
  ])('%s is a %i with code %s', async (kind, status, code) => {
    const error = await chat(`[[sim:fault=${kind}]] x`).then(
      () => null,
      (reason: unknown) => reason as InstanceType<typeof OpenAI.APIError>,
    );
    expect(error).toMatchObject({ status });
    expect(error!.code).toBe(code);
    expect((await lastCall()).end).toMatchObject({ fault: kind, status, inputTokens: 0, finished: true });
  });
});

describe('error faults in the Anthropic dialect', () => {
  it.each([
    ['rate_limit', 429, 'rate_limit_error'],
    ['rate_limit_tokens', 429, 'rate_limit_error'],
    ['insufficient_quota', 402, 'billing_error'],
    ['spend_limit', 429, 'rate_limit_error'],
    ['flex_unavailable', 529, 'overloaded_error'],
    ['invalid_key', 401, 'authentication_error'],
    ['permission', 403, 'permission_error'],
    ['bad_request', 400, 'invalid_request_error'],
    ['context_length', 400, 'invalid_request_error'],
    ['content_policy', 400, 'invalid_request_error'],
    ['server_error', 500, 'api_error'],
    ['bad_gateway', 502, null],
    ['unavailable', 503, 'api_error'],
    ['slow_down', 503, 'api_error'],
    ['gateway_timeout', 504, 'timeout_error'],
    ['overloaded', 529, 'overloaded_error'],
  ])('%s is a %i of type %s', async (kind, status, type) => {
    await expect(message(`[[sim:fault=${kind}]] x`)).rejects.toMatchObject({ status, type });
  });

  it('gives the spend limit its code and no retry-after, the rate limit a retry-after', async () => {
    const spend = await message('[[sim:fault=spend_limit]]').then(
      () => null,
      (reason: unknown) => reason as InstanceType<typeof Anthropic.APIError>,
    );
    expect(spend!.errorCode).toBe('enforced_spend_limit_reached');
    expect(spend!.headers!.get('retry-after')).toBeNull();
    const rate = await message('[[sim:fault=rate_limit;retry_after=7]]').then(
      () => null,
      (reason: unknown) => reason as InstanceType<typeof Anthropic.APIError>,
    );
    expect(rate!.headers!.get('retry-after')).toBe('7');
  });
});
