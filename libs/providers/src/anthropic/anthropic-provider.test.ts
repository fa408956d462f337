import { RetryableError, TerminalError } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createProvider } from '../create-provider.ts';
import type { Provider } from '../provider.ts';
import { abortAfterText, abortOf, aCall, failureOf, hooks } from '../testing/call-builder.ts';
import { printedBy } from '../testing/listen-to-console.ts';
import {
  answers,
  fixture,
  ScriptedServer,
  streams,
  streamsInPieces,
  streamsThenHangs,
  streamsThenResets,
} from '../testing/scripted-server.ts';
import { estimateTextTokens } from '../tokens/estimate-input-tokens.ts';

const server = new ScriptedServer();
let provider: Provider;
const inputUsage = { inputTokens: 1200, cachedInputTokens: 1024, cacheWriteTokens: 100 };
const finalUsage = { ...inputUsage, outputTokens: 90, reasoningTokens: 64 };

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  provider = create();
});

function create(): Provider {
  return createProvider({
    name: 'anthropic',
    kind: 'anthropic',
    baseUrl: server.url,
    apiKey: 'sk-ant-abcdefghijkl',
    maxConcurrentSockets: 8,
    idleTimeoutMs: 150,
    now: () => Date.parse('2026-11-21T10:00:00Z'),
  });
}

describe('what is sent', () => {
  test('one request with a bearer key, the tag and no sampling parameters', async () => {
    server.script = streams(fixture('anthropic/completed'));
    await provider.call(aCall(), hooks());
    expect(server.seen).toHaveLength(1);
    const [request] = server.seen;
    expect(request!.path).toBe('/v1/messages');
    expect(request!.headers).toMatchObject({
      authorization: 'Bearer sk-ant-abcdefghijkl',
      'anthropic-version': '2026-10-21',
      'x-client-request-id': 'job_01/map[3]#2',
    });
    expect(request!.headers).not.toHaveProperty('x-api-key');
    expect(request!.body).toEqual({
      model: 'test-model',
      max_tokens: 200,
      system: 'You explain water machines.',
      messages: [{ role: 'user', content: 'What carries the river to the wheel, please?' }],
      stream: true,
    });
  });

  test('sampling parameters stay behind where another target of the route may have taken them', async () => {
    server.script = streams(fixture('anthropic/completed'));
    await provider.call(aCall({ temperature: 0, topP: 0.3 }), hooks());
    for (const name of ['temperature', 'top_p']) expect(server.seen[0]!.body).not.toHaveProperty(name);
  });

  test('a schema goes into output_config, closed, with unenforced bounds as description; no tool is forced', async () => {
    server.script = streams(fixture('anthropic/completed'));
    const schema = {
      type: 'object',
      properties: { title: { type: 'string', maxLength: 20 } },
      required: ['title'],
    };
    await provider.call(aCall({ output: { name: 'page', schema } }), hooks());
    const { body } = server.seen[0]!;
    expect(body['output_config']).toEqual({
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: { title: { type: 'string', description: '{maxLength: 20}' } },
          required: ['title'],
          additionalProperties: false,
        },
      },
    });
    expect(body).not.toHaveProperty('tool_choice');
  });

  test.each([
    ['whose root is no object', { type: 'array', items: { type: 'string' } }],
    ['that is an open map', { type: 'object', additionalProperties: { type: 'number' } }],
    ['without a type', { type: 'object', properties: { any: {} } }],
  ])('a schema %s goes into the system text instead', async (_how, schema) => {
    server.script = streams(fixture('anthropic/completed'));
    await provider.call(aCall({ output: { name: 'page', schema } }), hooks());
    expect(server.seen[0]!.body).not.toHaveProperty('output_config');
    expect(server.seen[0]!.body['system']).toContain(JSON.stringify(schema));
  });

  test('more output tokens than the SDK allows without streaming are no obstacle', async () => {
    server.script = streams(fixture('anthropic/completed'));
    await provider.call(aCall({ maxOutputTokens: 128_000 }), hooks());
    expect(server.seen[0]!.body['max_tokens']).toBe(128_000);
  });
});

describe('an answer', () => {
  test('leaves its connection to the next call', async () => {
    server.script = streams(fixture('anthropic/completed'));
    await provider.call(aCall(), hooks());
    const before = server.connections;
    for (let call = 0; call < 5; call += 1) await provider.call(aCall(), hooks());
    expect(server.connections).toBe(before);
  });

  test('has the text without the thinking, the usage with cached tokens summed, and the limits', async () => {
    server.script = streams(fixture('anthropic/completed'), {
      'request-id': 'req_011',
      'anthropic-ratelimit-requests-limit': '1000',
      'anthropic-ratelimit-requests-remaining': '998',
      'anthropic-ratelimit-requests-reset': '2026-11-21T10:00:02Z',
      'anthropic-ratelimit-input-tokens-limit': '2000000',
      'anthropic-ratelimit-input-tokens-remaining': '1999000',
      'anthropic-ratelimit-input-tokens-reset': '2026-11-21T09:59:00Z',
      'anthropic-ratelimit-output-tokens-limit': '400000',
    });
    const pieces: string[] = [];
    const answer = await provider.call(aCall(), hooks({ onText: (text) => pieces.push(text) }));
    expect(answer).toEqual({
      text: 'A millrace, naïve 水.',
      finish: 'stop',
      usage: finalUsage,
      usageEstimated: false,
      model: 'claude-haiku-5-5',
      serviceTier: 'standard',
      providerRequestId: 'req_011',
      responseId: 'msg_01X',
      httpStatus: 200,
      limits: {
        requests: { limit: 1000, remaining: 998, resetMs: 2000 },
        inputTokens: { limit: 2_000_000, remaining: 1_999_000, resetMs: 0 },
        outputTokens: { limit: 400_000, remaining: null, resetMs: null },
      },
    });
    expect(pieces).toEqual(['A mill', 'race, naïve 水.']);
  });

  test('survives a wire that cuts lines and characters anywhere', async () => {
    server.script = streamsInPieces(fixture('anthropic/completed'));
    expect((await provider.call(aCall(), hooks())).text).toBe('A millrace, naïve 水.');
  });

  test('takes the cumulative counts of message_delta over those of message_start', async () => {
    server.script = streams(fixture('anthropic/cumulative-usage'));
    const { usage } = await provider.call(aCall(), hooks());
    expect(usage).toMatchObject({ inputTokens: 1104, cachedInputTokens: 1024, cacheWriteTokens: 0 });
  });

  test.each([
    ['stop-max-tokens', 'length'],
    ['stop-model-context-window-exceeded', 'length'],
    ['stop-stop-sequence', 'stop'],
  ])('%s finishes with %s', async (name, finish) => {
    server.script = streams(fixture(`anthropic/${name}`));
    expect(await provider.call(aCall(), hooks())).toMatchObject({
      text: 'A mill',
      finish,
      usage: finalUsage,
    });
  });

  test('without usage is counted here and says that it was', async () => {
    server.script = streams(fixture('anthropic/completed-without-usage'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage.outputTokens).toBeGreaterThan(5);
    expect(answer.usage.inputTokens).toBeGreaterThan(10);
  });

  test('is kept when the connection breaks or hangs after message_stop', async () => {
    server.script = streamsThenResets(fixture('anthropic/completed'));
    expect((await provider.call(aCall(), hooks())).usage).toEqual(finalUsage);
    server.script = streamsThenHangs(fixture('anthropic/completed'));
    expect((await provider.call(aCall(), hooks())).usage).toEqual(finalUsage);
  });
});

describe('a stream that brings no answer', () => {
  const counted = (text: string) => ({ ...inputUsage, outputTokens: estimateTextTokens(text, 1) });
  const truncated = fixture('anthropic/truncated');

  test.each([
    ['ends early', streams(truncated), counted('A millrace'), true],
    ['breaks off', streamsThenResets(truncated), counted('A millrace'), true],
    ['ends one event early', streams(fixture('anthropic/truncated-before-stop')), finalUsage, true],
    ['turns into garbage', streams(fixture('anthropic/garbage')), counted('A mill'), true],
    ['uses a tool that we never offered', streams(fixture('anthropic/stop-tool-use')), finalUsage, false],
    ['pauses', streams(fixture('anthropic/stop-pause-turn')), finalUsage, false],
  ])(
    'that %s can be sent again and tells the usage that is known',
    async (_how, script, usage, estimated) => {
      server.script = script;
      const error = await failureOf(provider.call(aCall(), hooks()));
      expect(error).toBeInstanceOf(RetryableError);
      expect(error.failure).toMatchObject({
        code: 'provider_bad_answer',
        httpStatus: 200,
        maybeBilled: true,
        usage,
        usageEstimated: estimated,
      });
      expect(server.seen).toHaveLength(1);
    },
  );

  test('tells by estimate what had arrived, not the one token that the vendor begins with', async () => {
    const words = 'The wheel turns the stone and the stone turns the grain into flour. '.repeat(50);
    const delta = { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: words } };
    server.script = streams(`${truncated}event: content_block_delta\ndata: ${JSON.stringify(delta)}\n\n`);
    const { failure } = await failureOf(provider.call(aCall(), hooks()));
    expect(failure).toMatchObject({ usage: inputUsage, usageEstimated: true, maybeBilled: true });
    expect(failure.usage!.outputTokens).toBeGreaterThan(500);
  });

  test('nothing of an unreadable stream is printed', async () => {
    server.script = streams(fixture('anthropic/garbage'));
    const printed = await printedBy(() => failureOf(create().call(aCall(), hooks())));
    expect(printed).toEqual([]);
  });

  test('but a refusal is terminal and billed', async () => {
    server.script = streams(fixture('anthropic/stop-refusal'));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(TerminalError);
    expect(error.failure).toMatchObject({ code: 'content_refused', maybeBilled: true, usage: finalUsage });
  });

  test.each([
    ['error-overloaded', { code: 'provider_unavailable', scope: 'target', providerCode: 'overloaded_error' }],
    ['error-api-error', { code: 'provider_unavailable', scope: 'call' }],
    ['error-rate-limit', { code: 'provider_rate_limited', scope: 'target' }],
  ])('but %s is judged by its type', async (name, failure) => {
    server.script = streams(fixture(`anthropic/${name}`));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ ...failure, httpStatus: 200, maybeBilled: true });
    expect(error.failure).toMatchObject({ usage: counted('A mill'), usageEstimated: true });
  });
});

describe('time and aborts', () => {
  test('a stream that falls silent is a timeout that tells the usage that is known', async () => {
    server.script = streamsThenHangs(fixture('anthropic/truncated'));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_timeout', maybeBilled: true });
    expect(error.failure).toMatchObject({ usage: inputUsage, usageEstimated: true });
    expect(error.failure.usage!.outputTokens).toBe(estimateTextTokens('A millrace', 1));
    await server.seen[0]!.closed;
  });

  test('pings keep a silent stream alive', async () => {
    server.script = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let beat = 0; beat < 8; beat += 1) {
        response.write('event: ping\ndata: {"type": "ping"}\n\n');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      response.end(fixture('anthropic/completed'));
    };
    expect((await provider.call(aCall(), hooks())).finish).toBe('stop');
  });

  test('the total time ends a call whose answer never begins', async () => {
    server.script = () => undefined;
    const error = await failureOf(provider.call(aCall({ timeoutMs: 100 }), hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_timeout', maybeBilled: true, httpStatus: null });
    await server.seen[0]!.closed;
  });

  test('an abort closes the connection and reports the input as the vendor told it', async () => {
    server.script = streamsThenHangs(fixture('anthropic/truncated'));
    const reason = new Error('the job was cancelled');
    const error = await abortOf(abortAfterText(provider, 'A millrace', reason));
    expect(error.cause).toBe(reason);
    expect(error.aborted).toMatchObject({ maybeBilled: true, usageEstimated: true, textLength: 10 });
    expect(error.aborted.usage).toMatchObject(inputUsage);
    expect(error.aborted.usage!.outputTokens).toBeGreaterThan(1);
    await server.seen[0]!.closed;
  });
});

describe('errors', () => {
  const body = (type: string, errorCode?: string, message = 'Something.') => ({
    type: 'error',
    error: { type, message, ...(errorCode ? { details: { error_code: errorCode } } : {}) },
    request_id: 'req_011',
  });
  const terminal = (code: string, scope: string) => ({
    kind: TerminalError,
    code,
    scope,
    maybeBilled: false,
  });
  const retryable = (code: string, scope: string, maybeBilled = false) => ({
    kind: RetryableError,
    code,
    scope,
    maybeBilled,
  });

  test.each([
    [400, body('invalid_request_error'), terminal('provider_refused_request', 'call')],
    [400, body('invalid_request_error', 'organization_on_hold'), terminal('provider_auth', 'account')],
    [401, body('authentication_error'), terminal('provider_auth', 'account')],
    [402, body('billing_error'), terminal('provider_quota', 'account')],
    [403, body('permission_error'), terminal('provider_auth', 'target')],
    [404, body('not_found_error'), terminal('provider_refused_request', 'target')],
    [409, body('conflict_error'), retryable('provider_unavailable', 'call')],
    [413, body('request_too_large'), terminal('context_length_exceeded', 'call')],
    [429, body('rate_limit_error'), retryable('provider_rate_limited', 'target')],
    [429, body('rate_limit_error', 'ramp_limit_exceeded'), retryable('provider_rate_limited', 'target')],
    [429, body('rate_limit_error', 'enforced_spend_limit_reached'), terminal('provider_quota', 'account')],
    [429, body('rate_limit_error', 'contract_spend_limit_reached'), terminal('provider_quota', 'account')],
    [429, body('rate_limit_error', 'something_new'), retryable('provider_rate_limited', 'target')],
    [500, body('api_error'), retryable('provider_unavailable', 'call')],
    [502, '<html></html>', retryable('provider_unavailable', 'call', true)],
    [503, '', retryable('provider_unavailable', 'target')],
    [504, body('timeout_error'), retryable('provider_timeout', 'call', true)],
    [529, body('overloaded_error'), retryable('provider_unavailable', 'target')],
    [529, '', retryable('provider_unavailable', 'target')],
  ])('HTTP %i with %j is %o, after one request', async (status, answer, expected) => {
    server.script = answers(status, answer, { 'x-should-retry': 'true', 'request-id': 'req_9' });
    const error = await failureOf(provider.call(aCall(), hooks()));
    const { kind, ...failure } = expected;
    expect(error).toBeInstanceOf(kind);
    expect(error.failure).toMatchObject({ ...failure, httpStatus: status, providerRequestId: 'req_9' });
    expect(server.seen).toHaveLength(1);
  });

  test('a rate limit says when to come back', async () => {
    server.script = answers(429, body('rate_limit_error'), { 'retry-after': '17' });
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect((error as RetryableError).retryAfterMs).toBe(17_000);
  });

  test('the message has no key and nothing of the prompt', async () => {
    server.script = answers(400, body('invalid_request_error', undefined, 'key sk-ant-api03-xyzxyz: bad'));
    const withKey = await failureOf(provider.call(aCall(), hooks()));
    expect(withKey.message).toContain('sk-…');
    expect(withKey.stack).not.toContain('xyzxyz');
    server.script = answers(
      400,
      body('invalid_request_error', undefined, 'no: What carries the river to the wheel'),
    );
    const withPrompt = await failureOf(provider.call(aCall(), hooks()));
    expect(withPrompt.stack).not.toContain('river');
  });

  test('a connection reset after the request was sent may have been billed', async () => {
    server.script = (_response, socket) => void socket.resetAndDestroy();
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', maybeBilled: true });
    expect(server.seen).toHaveLength(1);
  });
});
