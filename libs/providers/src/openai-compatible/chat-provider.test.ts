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

const server = new ScriptedServer();
let provider: Provider;
const finalUsage = {
  inputTokens: 1200,
  cachedInputTokens: 1024,
  cacheWriteTokens: 0,
  outputTokens: 90,
  reasoningTokens: 64,
};

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  provider = create('secret-token');
});

function create(apiKey: string, idleTimeoutMs = 150): Provider {
  return createProvider({
    name: 'house',
    kind: 'openai_compatible',
    baseUrl: `${server.url}/v1`,
    apiKey,
    maxConcurrentSockets: 8,
    idleTimeoutMs,
  });
}

describe('what is sent', () => {
  test('one request in the part of the dialect that every server knows', async () => {
    server.script = streams(fixture('openai-compatible/completed'));
    await provider.call(aCall(), hooks());
    expect(server.seen).toHaveLength(1);
    expect(server.seen[0]!.path).toBe('/v1/chat/completions');
    expect(server.seen[0]!.headers.authorization).toBe('Bearer secret-token');
    expect(server.seen[0]!.headers['x-client-request-id']).toBe('job_01/map[3]#2');
    expect(server.seen[0]!.body).toEqual({
      model: 'test-model',
      messages: [
        { role: 'system', content: 'You explain water machines.' },
        { role: 'user', content: 'What carries the river to the wheel, please?' },
      ],
      max_tokens: 200,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  test('no authorization header when the server has no key', async () => {
    server.script = streams(fixture('openai-compatible/completed'));
    await create('').call(aCall(), hooks());
    expect(server.seen[0]!.headers).not.toHaveProperty('authorization');
  });

  test('sampling parameters go as they were asked for, zero too', async () => {
    server.script = streams(fixture('openai-compatible/completed'));
    await provider.call(aCall({ temperature: 0, topP: 0.3 }), hooks());
    expect(server.seen[0]!.body).toMatchObject({ temperature: 0, top_p: 0.3 });
  });

  test('a schema goes into response_format', async () => {
    server.script = streams(fixture('openai-compatible/completed'));
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    await provider.call(aCall({ output: { name: 'thing', schema } }), hooks());
    expect(server.seen[0]!.body['response_format']).toEqual({
      type: 'json_schema',
      json_schema: { name: 'thing', schema, strict: false },
    });
  });

  test('a server without an address is refused at once', () => {
    const options = {
      name: 'house',
      kind: 'openai_compatible',
      apiKey: '',
      maxConcurrentSockets: 1,
    } as const;
    expect(() => createProvider(options)).toThrow('needs a base URL');
  });
});

describe('an answer', () => {
  test('leaves its connection to the next call', async () => {
    server.script = streams(fixture('openai-compatible/completed'));
    await provider.call(aCall(), hooks());
    const before = server.connections;
    for (let call = 0; call < 5; call += 1) await provider.call(aCall(), hooks());
    expect(server.connections).toBe(before);
  });

  test.each([
    ['with the usage in a chunk of its own', 'completed'],
    ['with the usage in the finishing chunk', 'completed-usage-in-finish-chunk'],
    ['that closes without [DONE]', 'completed-without-done'],
  ])('%s is complete', async (_how, name) => {
    server.script = streamsInPieces(fixture(`openai-compatible/${name}`));
    const answer = await provider.call(aCall(), hooks());
    expect(answer).toMatchObject({
      text: 'A millrace, naïve 水.',
      finish: 'stop',
      usage: finalUsage,
      usageEstimated: false,
      model: 'qwen3-8b',
      responseId: 'chatcmpl-9',
      serviceTier: null,
      limits: {},
    });
  });

  test('leaves its connection to the next call when the body ends a moment after [DONE]', async () => {
    server.script = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(fixture('openai-compatible/completed'), () => setImmediate(() => response.end()));
    };
    await provider.call(aCall(), hooks());
    const before = server.connections;
    for (let call = 0; call < 5; call += 1) await provider.call(aCall(), hooks());
    expect(server.connections).toBe(before);
  });

  test('is not held up by a server that never ends the body', async () => {
    server.script = streamsThenHangs(fixture('openai-compatible/completed-without-usage'));
    const startedAt = performance.now();
    expect((await create('', 8_000).call(aCall(), hooks())).finish).toBe('stop');
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    await server.seen[0]!.closed;
  });

  test('takes the last of running usage counts', async () => {
    server.script = streams(fixture('openai-compatible/completed-running-usage'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.usage).toMatchObject({ inputTokens: 1200, outputTokens: 5 });
    expect(answer.usageEstimated).toBe(false);
  });

  test('does not take a count from the middle for the whole', async () => {
    server.script = streams(fixture('openai-compatible/completed-running-usage-only'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage.inputTokens).toBe(1200);
    expect(answer.usage.outputTokens).toBeGreaterThan(6);
  });

  test('without usage is counted here and says that it was', async () => {
    server.script = streams(fixture('openai-compatible/completed-without-usage'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage.outputTokens).toBeGreaterThan(5);
  });

  test('cut at the limit says so', async () => {
    server.script = streams(fixture('openai-compatible/length'));
    expect(await provider.call(aCall(), hooks())).toMatchObject({ finish: 'length', usage: finalUsage });
  });
});

describe('a stream that brings no answer', () => {
  test.each([
    ['ends before a finish_reason', streams(fixture('openai-compatible/truncated'))],
    ['says [DONE] without a finish_reason', streams(fixture('openai-compatible/done-without-finish'))],
    ['breaks off', streamsThenResets(fixture('openai-compatible/truncated'))],
    ['turns into garbage', streams(fixture('openai-compatible/garbage'))],
    ['calls a tool that we never offered', streams(fixture('openai-compatible/tool-calls'))],
  ])('that %s can be sent again and may have been billed', async (_how, script) => {
    server.script = script;
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_bad_answer', httpStatus: 200, maybeBilled: true });
    expect(server.seen).toHaveLength(1);
  });

  test.each([['content-filter'], ['refusal']])('but a %s is terminal and billed', async (name) => {
    server.script = streams(fixture(`openai-compatible/${name}`));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(TerminalError);
    expect(error.failure).toMatchObject({ code: 'content_refused', maybeBilled: true, usage: finalUsage });
  });

  test('but an error inside the stream is the server failing', async () => {
    server.script = streams(fixture('openai-compatible/error-in-stream'));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', httpStatus: 200, maybeBilled: true });
  });
});

test('nothing of an unreadable stream is printed', async () => {
  server.script = streams(fixture('openai-compatible/garbage'));
  const printed = await printedBy(() => failureOf(create('').call(aCall(), hooks())));
  expect(printed).toEqual([]);
});

test.each([
  [
    400,
    { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } },
    'provider_refused_request',
  ],
  [404, { error: { message: 'model "x" not found', type: 'api_error' } }, 'provider_refused_request'],
  [401, { error: 'Unauthorized' }, 'provider_auth'],
  [500, { error: { message: 'CUDA', type: 'InternalServerError', code: 500 } }, 'provider_unavailable'],
  [503, { detail: 'loading' }, 'provider_unavailable'],
])('HTTP %i of a server of one’s own with %j is %s', async (status, body, code) => {
  server.script = answers(status, body);
  const error = await failureOf(provider.call(aCall(), hooks()));
  expect(error.failure).toMatchObject({ code, httpStatus: status, provider: 'house' });
});

test('an abort closes the connection, so that the server stops computing', async () => {
  server.script = streamsThenHangs(fixture('openai-compatible/truncated'));
  const error = await abortOf(abortAfterText(provider, 'A millrace, naïve 水.', new Error('stop')));
  expect(error.aborted.textLength).toBe(20);
  await server.seen[0]!.closed;
});
