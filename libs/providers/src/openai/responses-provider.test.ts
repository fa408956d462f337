import { RetryableError, TerminalError } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createProvider } from '../create-provider.ts';
import type { ObservedLimits, Provider } from '../provider.ts';
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
  cacheWriteTokens: 100,
  outputTokens: 90,
  reasoningTokens: 64,
};

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  provider = create();
});

function create(): Provider {
  return createProvider({
    name: 'openai',
    kind: 'openai',
    baseUrl: `${server.url}/v1`,
    apiKey: 'sk-test-1234567890',
    organization: 'org-7',
    maxConcurrentSockets: 8,
    idleTimeoutMs: 150,
  });
}

describe('what is sent', () => {
  test('one request carries the key, the tag, no sampling parameters, and asks OpenAI not to keep the answer', async () => {
    server.script = streams(fixture('openai/completed'));
    await provider.call(aCall(), hooks());
    expect(server.seen).toHaveLength(1);
    const [request] = server.seen;
    expect(request!.path).toBe('/v1/responses');
    expect(request!.headers).toMatchObject({
      authorization: 'Bearer sk-test-1234567890',
      'openai-organization': 'org-7',
      'x-client-request-id': 'job_01/map[3]#2',
    });
    expect(request!.body).toEqual({
      model: 'test-model',
      instructions: 'You explain water machines.',
      input: [{ role: 'user', content: 'What carries the river to the wheel, please?' }],
      max_output_tokens: 200,
      store: false,
      stream: true,
    });
  });

  test('sampling parameters go as they were asked for, zero too', async () => {
    server.script = streams(fixture('openai/completed'));
    await provider.call(aCall({ temperature: 0, topP: 0.3 }), hooks());
    expect(server.seen[0]!.body).toMatchObject({ temperature: 0, top_p: 0.3 });
  });

  test('a schema that satisfies the strict rules is enforced strictly, another one is not', async () => {
    server.script = streams(fixture('openai/completed'));
    const closed = {
      type: 'object',
      properties: { label: { type: 'string' } },
      required: ['label'],
      additionalProperties: false,
    };
    const open = { type: 'object', properties: { label: { type: 'string', minLength: 1 } } };
    await provider.call(aCall({ output: { name: 'label', schema: closed } }), hooks());
    await provider.call(aCall({ output: { name: 'label', schema: open } }), hooks());
    expect(server.seen.map((request) => request.body['text'])).toEqual([
      { format: { type: 'json_schema', name: 'label', schema: closed, strict: true } },
      { format: { type: 'json_schema', name: 'label', schema: open, strict: false } },
    ]);
  });

  test('a schema whose root is no object goes into the instructions, because OpenAI refuses it as a format', async () => {
    server.script = streams(fixture('openai/completed'));
    const schema = { type: 'array', items: { type: 'string' } };
    await provider.call(aCall({ output: { name: 'lines', schema } }), hooks());
    expect(server.seen[0]!.body['text']).toBeUndefined();
    expect(server.seen[0]!.body['instructions']).toContain(JSON.stringify(schema));
  });

  test('the tier that a call asks for', async () => {
    server.script = streams(fixture('openai/completed'));
    await provider.call(aCall({ serviceTier: 'flex', timeoutMs: 15 * 60_000 }), hooks());
    expect(server.seen[0]!.body['service_tier']).toBe('flex');
  });

  test('a tag with characters that a header cannot carry is made to fit', async () => {
    server.script = streams(fixture('openai/completed'));
    await provider.call(aCall({ requestTag: 'job/schlüssel\n#1' }), hooks());
    expect(server.seen[0]!.headers['x-client-request-id']).toBe('job/schl_ssel_#1');
  });
});

describe('an answer', () => {
  test('leaves its connection to the next call', async () => {
    server.script = streams(fixture('openai/completed'));
    await provider.call(aCall(), hooks());
    const before = server.connections;
    for (let call = 0; call < 5; call += 1) await provider.call(aCall(), hooks());
    expect(server.connections).toBe(before);
  });

  test('has the text, the usage with cached and reasoning tokens, the tier, the ids and the limits', async () => {
    server.script = streams(fixture('openai/completed'), {
      'x-request-id': 'req_42',
      'x-ratelimit-limit-requests': '5000',
      'x-ratelimit-remaining-requests': '4999',
      'x-ratelimit-reset-requests': '12ms',
      'x-ratelimit-limit-tokens': '800000',
      'x-ratelimit-remaining-tokens': '798000',
      'x-ratelimit-reset-tokens': '6m0s',
    });
    const pieces: string[] = [];
    const limits: ObservedLimits[] = [];
    let firstBytes = 0;
    const answer = await provider.call(
      aCall(),
      hooks({
        onText: (text) => pieces.push(text),
        onFirstByte: () => (firstBytes += 1),
        onLimits: (each) => limits.push(each),
      }),
    );
    const observed = {
      requests: { limit: 5000, remaining: 4999, resetMs: 12 },
      tokens: { limit: 800_000, remaining: 798_000, resetMs: 360_000 },
    };
    expect(answer).toEqual({
      text: 'A millrace, naïve 水.',
      finish: 'stop',
      usage: finalUsage,
      usageEstimated: false,
      model: 'gpt-6-luna-2026-09-01',
      serviceTier: 'default',
      providerRequestId: 'req_42',
      responseId: 'resp_68f0a1',
      httpStatus: 200,
      limits: observed,
    });
    expect(pieces).toEqual(['A mill', 'race, naïve 水.']);
    expect(firstBytes).toBe(1);
    expect(limits).toEqual([observed]);
  });

  test('survives a wire that cuts lines and characters anywhere', async () => {
    server.script = streamsInPieces(fixture('openai/completed'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.text).toBe('A millrace, naïve 水.');
  });

  test('cut at max_output_tokens says so and keeps text and usage', async () => {
    server.script = streams(fixture('openai/incomplete-length'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer).toMatchObject({
      text: 'A mill',
      finish: 'length',
      usage: finalUsage,
      serviceTier: 'flex',
    });
  });

  test('leaves out what the model thought aloud', async () => {
    server.script = streams(fixture('openai/commentary'));
    const pieces: string[] = [];
    const answer = await provider.call(aCall(), hooks({ onText: (text) => pieces.push(text) }));
    expect(answer.text).toBe('A millrace');
    expect(pieces).toEqual(['A millrace']);
  });

  test('without usage is counted here and says that it was', async () => {
    server.script = streams(fixture('openai/completed-without-usage'));
    const answer = await provider.call(aCall(), hooks());
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage.outputTokens).toBeGreaterThanOrEqual(3);
    expect(answer.usage.inputTokens).toBeGreaterThan(10);
    expect(answer.usage.inputTokens).toBeLessThan(60);
  });

  test('is kept when the connection breaks or hangs after the terminal event', async () => {
    server.script = streamsThenResets(fixture('openai/completed'));
    expect((await provider.call(aCall(), hooks())).usage).toEqual(finalUsage);
    server.script = streamsThenHangs(fixture('openai/completed'));
    expect((await provider.call(aCall(), hooks())).usage).toEqual(finalUsage);
  });

  test('is not lost to a hook that throws', async () => {
    server.script = streams(fixture('openai/completed'));
    const onText = () => {
      throw new Error('listener broke');
    };
    expect((await provider.call(aCall(), hooks({ onText }))).finish).toBe('stop');
  });
});

describe('a stream that brings no answer', () => {
  const truncated = { code: 'provider_bad_answer', httpStatus: 200, maybeBilled: true, scope: 'call' };
  const refused = { code: 'content_refused', usage: finalUsage, maybeBilled: true };

  test.each([
    ['ends without a terminal event', streams(fixture('openai/truncated'))],
    ['breaks off', streamsThenResets(fixture('openai/truncated'))],
    ['turns into garbage', streams(fixture('openai/garbage'))],
    ['is empty', streams('')],
    ['is a web page', answers(200, '<html>Welcome</html>', { 'content-type': 'text/html' })],
  ])('that %s can be sent again and may have been billed', async (_how, script) => {
    server.script = script;
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject(truncated);
    expect(error.message + JSON.stringify(error.failure)).not.toContain('A mi');
    expect(server.seen).toHaveLength(1);
  });

  test.each([
    ['refusal', 'refusal'],
    ['incomplete-content-filter', 'content_filter'],
  ])('but a %s is terminal and billed', async (name, providerCode) => {
    server.script = streams(fixture(`openai/${name}`));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(TerminalError);
    expect(error.failure).toMatchObject({ ...refused, providerCode });
  });

  test.each([
    ['failed-server-error', RetryableError, { code: 'provider_unavailable', usage: finalUsage }],
    ['failed-rate-limit', RetryableError, { code: 'provider_rate_limited', scope: 'target' }],
    ['failed-invalid-prompt', TerminalError, { code: 'content_refused' }],
    ['error-event', RetryableError, { code: 'provider_unavailable', providerCode: 'server_error' }],
    ['error-event-quota', TerminalError, { code: 'provider_quota', scope: 'account' }],
    ['incomplete-steered', RetryableError, { code: 'provider_bad_answer', usage: finalUsage }],
  ])('but %s is judged by its code', async (name, kind, failure) => {
    server.script = streams(fixture(`openai/${name}`));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(kind);
    expect(error.failure).toMatchObject({ ...failure, httpStatus: 200, maybeBilled: true });
  });
});

test('nothing of an unreadable stream is printed', async () => {
  server.script = streams(fixture('openai/garbage'));
  const printed = await printedBy(() => failureOf(create().call(aCall(), hooks())));
  expect(printed).toEqual([]);
});

describe('time', () => {
  test('a stream that falls silent is a timeout that may have been billed', async () => {
    server.script = streamsThenHangs(fixture('openai/truncated'));
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_timeout', maybeBilled: true, httpStatus: 200 });
    await server.seen[0]!.closed;
  });

  test('comments keep a silent stream alive', async () => {
    server.script = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      for (let beat = 0; beat < 8; beat += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        response.write(': still thinking\n\n');
      }
      response.end(fixture('openai/completed'));
    };
    expect((await provider.call(aCall(), hooks())).finish).toBe('stop');
  });

  test('silence before the first byte is no silence, because vendors queue', async () => {
    server.script = async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      await new Promise((resolve) => setTimeout(resolve, 300));
      response.end(fixture('openai/completed'));
    };
    expect((await provider.call(aCall(), hooks())).finish).toBe('stop');
  });

  test('the total time ends a call whose answer never begins', async () => {
    server.script = () => undefined;
    const error = await failureOf(provider.call(aCall({ timeoutMs: 100 }), hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_timeout', maybeBilled: true, httpStatus: null });
    await server.seen[0]!.closed;
  });
});

describe('an abort', () => {
  const reason = new Error('the job was cancelled');

  test('in the middle of an answer closes the connection and reports the text that had arrived', async () => {
    server.script = streamsThenHangs(fixture('openai/truncated'));
    const error = await abortOf(abortAfterText(provider, 'A millrace', reason));
    expect(error.cause).toBe(reason);
    expect(error.aborted).toMatchObject({
      provider: 'openai',
      maybeBilled: true,
      usageEstimated: true,
      textLength: 10,
      httpStatus: 200,
    });
    expect(error.aborted.usage!.outputTokens).toBeGreaterThan(0);
    await server.seen[0]!.closed;
  });

  test('before the answer begins closes the connection', async () => {
    server.script = () => undefined;
    const controller = new AbortController();
    const call = abortOf(provider.call(aCall(), hooks({ signal: controller.signal })));
    await server.arrived(1);
    controller.abort(reason);
    const error = await call;
    expect(error.cause).toBe(reason);
    expect(error.aborted).toMatchObject({ maybeBilled: true, textLength: 0, httpStatus: null });
    await server.seen[0]!.closed;
  });

  test('while it waits for a socket sends nothing, and the slot goes to the next call', async () => {
    const narrow = createProvider({
      name: 'openai',
      kind: 'openai',
      baseUrl: `${server.url}/v1`,
      apiKey: 'k',
      maxConcurrentSockets: 1,
    });
    let release: (() => void) | undefined;
    server.script = (response) => {
      release = () => void streams(fixture('openai/completed'))(response, response.socket!, server.seen[0]!);
    };
    const first = narrow.call(aCall(), hooks());
    await server.arrived(1);
    const controller = new AbortController();
    const second = abortOf(narrow.call(aCall(), hooks({ signal: controller.signal })));
    const third = narrow.call(aCall(), hooks());
    controller.abort(reason);
    expect((await second).aborted).toMatchObject({ maybeBilled: false, usage: null });
    expect(server.seen).toHaveLength(1);
    server.script = streams(fixture('openai/completed'));
    release!();
    await Promise.all([first, third]);
    expect(server.seen).toHaveLength(2);
  });

  test('that came before the call sends nothing', async () => {
    const error = await abortOf(provider.call(aCall(), hooks({ signal: AbortSignal.abort(reason) })));
    expect(error.cause).toBe(reason);
    expect(server.seen).toHaveLength(0);
  });
});
