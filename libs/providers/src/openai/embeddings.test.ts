import { RetryableError, TerminalError } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBatchPort } from '../batches/create-batch-port.ts';
import { createProvider } from '../create-provider.ts';
import type { ProviderKind } from '../provider.ts';
import { aProgress, aSubmission, endedBatch, resultsOf } from '../testing/batch-submission.ts';
import { aCall, failureOf, hooks } from '../testing/call-builder.ts';
import { RoutedServer, refuse } from '../testing/routed-server.ts';
import { estimateInputTokens } from '../tokens/estimate-input-tokens.ts';

const server = new RoutedServer();
beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  server.routes = {};
});

const now = Date.parse('2026-11-21T12:00:00Z');
const options = (kind: ProviderKind) => ({
  name: kind,
  kind,
  baseUrl: `${server.url}/v1`,
  apiKey: 'sk-test',
  maxConcurrentSockets: 8,
  now: () => now,
});
const vectorCall = (more: object = {}) =>
  aCall({
    model: 'text-embedding-3-small',
    system: null,
    messages: [
      { role: 'user', content: 'grain' },
      { role: 'user', content: 'flour' },
    ],
    maxOutputTokens: 0,
    embedding: { dimensions: 2 },
    ...more,
  });
const body = (more: object = {}) => ({
  object: 'list',
  data: [
    { object: 'embedding', index: 1, embedding: packed(3, 4) },
    { object: 'embedding', index: 0, embedding: packed(1, 2) },
  ],
  model: 'text-embedding-3-small',
  usage: { prompt_tokens: 5, total_tokens: 5 },
  ...more,
});
const packed = (...numbers: number[]) => Buffer.from(new Float32Array(numbers).buffer).toString('base64');

describe.each(['openai', 'openai_compatible'] as const)('a call for vectors to %s', (kind) => {
  test('asks the Embeddings API for base64, and gives the vectors in the order of the inputs', async () => {
    server.routes = { 'POST /v1/embeddings': () => body() };
    const answer = await createProvider(options(kind)).call(vectorCall(), hooks());
    expect(JSON.parse(server.seen[0]!.body)).toEqual({
      model: 'text-embedding-3-small',
      input: ['grain', 'flour'],
      dimensions: 2,
      encoding_format: 'base64',
    });
    expect(server.seen[0]!.headers['x-client-request-id']).toBe('job_01/map[3]#2');
    expect(answer).toMatchObject({
      text: '',
      finish: 'stop',
      embeddings: [packed(1, 2), packed(3, 4)],
      usage: { inputTokens: 5, outputTokens: 0, reasoningTokens: 0 },
      usageEstimated: false,
      httpStatus: 200,
    });
  });

  test('takes numbers from a server that does not know base64, and counts where it tells no usage', async () => {
    const data = [
      { index: 0, embedding: [1, 2] },
      { index: 1, embedding: [3, 4] },
    ];
    server.routes = { 'POST /v1/embeddings': () => body({ data, usage: null }) };
    const answer = await createProvider(options(kind)).call(vectorCall(), hooks());
    expect(answer.embeddings).toEqual([packed(1, 2), packed(3, 4)]);
    expect(answer.usageEstimated).toBe(true);
    expect(answer.usage).toMatchObject({
      inputTokens: estimateInputTokens(vectorCall(), 1),
      outputTokens: 0,
    });
  });

  test.each([
    ['a vector is missing between others', { data: [{ index: 1, embedding: packed(1) }] }],
    ['it is something else', { object: 'chat.completion' }],
    ['it has no vectors', { data: [] }],
  ])('may be repeated when %s', async (_what, more) => {
    server.routes = { 'POST /v1/embeddings': () => body(more) };
    const error = await failureOf(createProvider(options(kind)).call(vectorCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure.code).toBe('provider_bad_answer');
  });

  test('fails as other calls do', async () => {
    server.routes = {
      'POST /v1/embeddings': (_request, response) => refuse(response, 429, { code: 'rate_limit_exceeded' }),
    };
    const limited = await failureOf(createProvider(options(kind)).call(vectorCall(), hooks()));
    expect(limited).toBeInstanceOf(RetryableError);
    expect(limited.failure).toMatchObject({ code: 'provider_rate_limited', maybeBilled: false });
    server.routes = {
      'POST /v1/embeddings': (_request, response) =>
        refuse(response, 400, { code: 'context_length_exceeded', message: 'too long: grain flour' }),
    };
    const long = await failureOf(createProvider(options(kind)).call(vectorCall(), hooks()));
    expect(long).toBeInstanceOf(TerminalError);
    expect(long.failure.code).toBe('context_length_exceeded');
  });
});

test('Anthropic is not asked for vectors, neither at once nor in a batch', async () => {
  const error = await failureOf(createProvider(options('anthropic')).call(vectorCall(), hooks()));
  expect(error).toBeInstanceOf(TerminalError);
  expect(error.failure).toMatchObject({ scope: 'target', maybeBilled: false });
  expect(createBatchPort(options('anthropic'))!.refuse(vectorCall())).toContain('no embeddings');
  expect(server.seen).toEqual([]);
});

test('an input counts without the frame that messages have', () => {
  expect(estimateInputTokens(vectorCall(), 1)).toBeLessThan(
    estimateInputTokens({ ...vectorCall(), embedding: undefined }, 1),
  );
});

describe('a batch of calls for vectors', () => {
  const port = () => createBatchPort(options('openai'))!;
  const created = { id: 'batch_1', status: 'validating', created_at: now / 1000 };

  test('has the endpoint of its lines, also when the file was uploaded before a crash', async () => {
    server.routes = {
      'POST /v1/files': () => ({ id: 'file_in' }),
      'GET /v1/files/file_in': () => ({ id: 'file_in' }),
      'POST /v1/batches': () => created,
    };
    const lines = [port().toLine('bat_01-1', vectorCall()), port().toLine('bat_01-2', vectorCall())];
    expect(JSON.parse(lines[0]!)).toMatchObject({
      url: '/v1/embeddings',
      body: { input: ['grain', 'flour'], encoding_format: 'base64' },
    });
    const progress = aProgress();
    await port().submit(aSubmission(lines), progress);
    const handles = { inputFileId: 'file_in', endpoint: '/v1/embeddings' };
    expect(progress.told).toEqual([handles]);
    await port().submit(aSubmission(lines, { handles }), aProgress());
    const asked = server.seen.filter(({ path, method }) => method === 'POST' && path === '/v1/batches');
    expect(asked.map((each) => (JSON.parse(each.body) as { endpoint: string }).endpoint)).toEqual([
      '/v1/embeddings',
      '/v1/embeddings',
    ]);
  });

  test('gives each line its vectors at the rates of a batch, and a broken line can be sent again', async () => {
    const line = (id: string, answer: object) =>
      JSON.stringify({ custom_id: id, response: { status_code: 200, request_id: 'r', body: answer } });
    server.routes = {
      'GET /v1/files/out/content': (_request, response) => {
        response.end(`${line('fine', body())}\n${line('broken', body({ data: [] }))}\n`);
      },
    };
    const results = await resultsOf(
      port(),
      endedBatch({ handles: { outputFileId: 'out' }, counts: { total: 2, completed: 2, failed: 0 } }),
    );
    expect(results.get('fine')).toMatchObject({
      kind: 'answered',
      answer: {
        embeddings: [packed(1, 2), packed(3, 4)],
        usage: { inputTokens: 5, outputTokens: 0 },
        serviceTier: 'batch',
      },
    });
    const broken = results.get('broken');
    expect(broken).toMatchObject({ kind: 'error', error: { failure: { code: 'provider_bad_answer' } } });
  });
});
