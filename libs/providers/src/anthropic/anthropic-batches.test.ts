import { RetryableError, TerminalError } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createBatchPort } from '../batches/create-batch-port.ts';
import type { BatchPort } from '../batches/batch-port.ts';
import { aProgress, aSubmission, endedBatch, resultsOf } from '../testing/batch-submission.ts';
import { aCall, failureOf } from '../testing/call-builder.ts';
import { RoutedServer, refuse, sendInPieces } from '../testing/routed-server.ts';

const server = new RoutedServer();
let port: BatchPort;
const now = Date.parse('2026-11-21T12:00:00Z');

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  server.routes = {};
  port = createBatchPort({
    name: 'anthropic',
    kind: 'anthropic',
    baseUrl: server.url,
    apiKey: 'sk-ant-test',
    maxConcurrentSockets: 8,
    now: () => now,
  })!;
});

/** A batch as the vendor sends it. */
function vendorBatch(overrides: Record<string, unknown> = {}) {
  return {
    id: 'msgbatch_1',
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { processing: 2, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(now).toISOString(),
    expires_at: new Date(now + 86_400_000).toISOString(),
    ended_at: null,
    cancel_initiated_at: null,
    results_url: null,
    ...overrides,
  };
}

const ended = (counts: Record<string, number>, overrides: Record<string, unknown> = {}) =>
  vendorBatch({
    processing_status: 'ended',
    ended_at: new Date(now + 5_000).toISOString(),
    request_counts: { processing: 0, succeeded: 0, errored: 0, canceled: 0, expired: 0, ...counts },
    results_url: `${server.url}/v1/messages/batches/msgbatch_1/results`,
    ...overrides,
  });

describe('a line', () => {
  test('says what a realtime call says, without stream and sampling parameters', () => {
    expect(JSON.parse(port.toLine('bat_01-1', aCall()))).toEqual({
      custom_id: 'bat_01-1',
      params: {
        model: 'test-model',
        system: 'You explain water machines.',
        messages: [{ role: 'user', content: 'What carries the river to the wheel, please?' }],
        max_tokens: 200,
      },
    });
  });

  test('must ask for output, because the vendor says so only a day later', () => {
    expect(port.refuse(aCall())).toBeNull();
    expect(port.refuse(aCall({ maxOutputTokens: 0 }))).toContain('max_tokens');
    expect(port.refuse(aCall({ messages: [] }))).toContain('messages');
  });
});

describe('submitting', () => {
  const lines = ['{"custom_id":"bat_01-1","params":{}}', '{"custom_id":"bat_01-2","params":{"é":"水"}}'];

  test('streams the requests in one body', async () => {
    server.routes['POST /v1/messages/batches'] = () => vendorBatch();
    const batch = await port.submit(aSubmission(lines), aProgress());
    expect(server.asked).toEqual(['POST /v1/messages/batches']);
    expect(server.seen[0]!.headers).toMatchObject({
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
      authorization: 'Bearer sk-ant-test',
    });
    expect(JSON.parse(server.seen[0]!.body)).toEqual({
      requests: lines.map((line) => JSON.parse(line) as unknown),
    });
    expect(batch).toEqual({
      providerBatchId: 'msgbatch_1',
      phase: 'in_progress',
      counts: null,
      createdAt: now,
      expiresAt: now + 86_400_000,
      endedAt: null,
      failure: null,
      handles: {},
      usage: null,
    });
  });

  test('is asked once, and a lost answer may have made a batch', async () => {
    server.routes['POST /v1/messages/batches'] = (_request, response) =>
      void response.socket!.resetAndDestroy();
    const error = await failureOf(port.submit(aSubmission(lines), aProgress()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure.maybeBilled).toBe(true);
    expect(server.seen).toHaveLength(1);
  });

  test('passes the error of a source that fails in the middle', async () => {
    const error = new Error('the ledger is away');
    async function* failing() {
      yield await Promise.resolve('{}');
      throw error;
    }
    await expect(port.submit(aSubmission([], { lines: failing() }), aProgress())).rejects.toBe(error);
    expect(server.seen).toHaveLength(0);
  });

  test.each([
    [413, 'request_too_large', TerminalError, 'context_length_exceeded'],
    [429, 'rate_limit_error', RetryableError, 'provider_rate_limited'],
  ])('refused with %i %s is told as such', async (status, type, kind, code) => {
    server.routes['POST /v1/messages/batches'] = (_request, response) =>
      refuse(response, status, { type, message: 'no' });
    const error = await failureOf(port.submit(aSubmission(lines), aProgress()));
    expect(error).toBeInstanceOf(kind);
    expect(error.failure).toMatchObject({ code, providerRequestId: 'req_no', maybeBilled: false });
  });
});

describe('a lost batch', () => {
  test('is looked for by time and size, and proven by the results of those that have ended', async () => {
    const line = (customId: string) =>
      `${JSON.stringify({ custom_id: customId, result: { type: 'expired' } })}\n`;
    const results = (id: string) => ({ results_url: `${server.url}/results/${id}`, id });
    server.routes = {
      'GET /v1/messages/batches?limit=100': () => ({
        data: [
          vendorBatch({ id: 'running' }),
          vendorBatch({ id: 'larger', request_counts: { ...vendorBatch().request_counts, processing: 3 } }),
          ended({ succeeded: 2 }, results('ours')),
          ended({ succeeded: 1, errored: 1 }, results('others')),
        ],
        has_more: true,
        last_id: 'others',
      }),
      'GET /v1/messages/batches?limit=100&after_id=others': () => ({
        data: [
          ended({ expired: 2 }, results('vanished')),
          ended({ succeeded: 2 }, results('gone')),
          vendorBatch({ id: 'older', created_at: new Date(now - 3_600_000).toISOString() }),
        ],
        has_more: true,
        last_id: 'older',
      }),
      'GET /results/ours': (_request, response) => void response.end(line('bat_01-1').repeat(2)),
      'GET /results/others': (_request, response) => void response.end(line('bat_02-1').repeat(2)),
      'GET /results/vanished': (_request, response) => void response.end(''),
      'GET /results/gone': (_request, response) => refuse(response, 404, { type: 'not_found_error' }),
    };
    const found = await port.find({ batchId: 'bat_01', lineCount: 2, since: now });
    expect(found.map(({ batch, certain }) => [batch.providerBatchId, certain])).toEqual([
      ['running', false],
      ['ours', true],
      ['vanished', false],
      ['gone', false],
    ]);
  });
});

describe('a batch', () => {
  test.each([
    [() => vendorBatch(), 'in_progress', null],
    [() => vendorBatch({ processing_status: 'canceling' }), 'cancelling', null],
    [() => ended({ succeeded: 2 }), 'completed', { total: 2, completed: 2, failed: 0 }],
    [() => ended({ succeeded: 1, errored: 2 }), 'completed', { total: 3, completed: 1, failed: 2 }],
    [() => ended({ succeeded: 1, expired: 2 }), 'expired', { total: 3, completed: 1, failed: 2 }],
    [() => ended({ succeeded: 1, canceled: 2 }), 'cancelled', { total: 3, completed: 1, failed: 2 }],
  ])('%# has phase and counts in our words', async (answer, phase, counts) => {
    server.routes['GET /v1/messages/batches/msgbatch_1'] = answer;
    expect(await port.retrieve('msgbatch_1')).toMatchObject({ phase, counts });
  });

  test('is cancelled, and one that has ended is left alone', async () => {
    server.routes['POST /v1/messages/batches/msgbatch_1/cancel'] = () => vendorBatch();
    await port.cancel('msgbatch_1');
    server.routes = {
      'POST /v1/messages/batches/msgbatch_1/cancel': (_request, response) =>
        refuse(response, 400, { type: 'invalid_request_error', message: 'it has ended' }),
      'GET /v1/messages/batches/msgbatch_1': () => ended({ succeeded: 2 }),
    };
    await port.cancel('msgbatch_1');
    server.routes['GET /v1/messages/batches/msgbatch_1'] = () => vendorBatch();
    expect((await failureOf(port.cancel('msgbatch_1'))).failure.httpStatus).toBe(400);
  });

  test('is discarded, and one that is gone is no error', async () => {
    server.routes['DELETE /v1/messages/batches/batch_1'] = () => ({ id: 'batch_1' });
    await port.discard(endedBatch());
    server.routes = {};
    await port.discard(endedBatch());
    expect(server.seen).toHaveLength(2);
  });
});

describe('results', () => {
  const message = (overrides: Record<string, unknown> = {}) => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-haiku-5-5-20260901',
    content: [
      { type: 'thinking', thinking: 'hm' },
      { type: 'text', text: 'A millrace, ' },
      { type: 'text', text: 'naïve 水.' },
    ],
    stop_reason: 'end_turn',
    usage: {
      input_tokens: 76,
      cache_creation_input_tokens: 100,
      cache_read_input_tokens: 1024,
      output_tokens: 90,
      output_tokens_details: { thinking_tokens: 64 },
      service_tier: 'batch',
    },
    ...overrides,
  });
  const usage = {
    inputTokens: 1200,
    cachedInputTokens: 1024,
    cacheWriteTokens: 100,
    outputTokens: 90,
    reasoningTokens: 64,
  };
  const succeeded = (customId: string, overrides: Record<string, unknown> = {}) => ({
    custom_id: customId,
    result: { type: 'succeeded', message: message(overrides) },
  });
  const errored = (customId: string, type: string, text: string) => ({
    custom_id: customId,
    result: {
      type: 'errored',
      error: { type: 'error', error: { type, message: text }, request_id: 'req_7' },
    },
  });

  test('are the answers and errors that realtime would have brought', async () => {
    const lines = [
      succeeded('fine'),
      succeeded('cut', { stop_reason: 'max_tokens' }),
      succeeded('refused', { stop_reason: 'refusal', content: [] }),
      succeeded('tool', { stop_reason: 'tool_use' }),
      succeeded('strange', { content: 'text' }),
      errored('bad', 'invalid_request_error', 'max_tokens: a river carries the secret'),
      errored('busy', 'overloaded_error', 'Overloaded'),
      errored('slow', 'timeout_error', 'Too slow'),
      { custom_id: 'gone', result: { type: 'canceled' } },
      { custom_id: 'late', result: { type: 'expired' } },
      { custom_id: 'new', result: { type: 'something_new' } },
    ];
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    server.routes['GET /elsewhere/results'] = (_request, response) => void sendInPieces(response, text);
    const handles = { resultsUrl: `${server.url}/elsewhere/results` };
    const results = await resultsOf(port, endedBatch({ handles }));
    expect(results.get('fine')).toEqual({
      customId: 'fine',
      kind: 'answered',
      answer: {
        text: 'A millrace, naïve 水.',
        finish: 'stop',
        usage,
        usageEstimated: false,
        model: 'claude-haiku-5-5-20260901',
        serviceTier: 'batch',
        providerRequestId: null,
        responseId: 'msg_1',
        httpStatus: 200,
        limits: {},
      },
    });
    expect(results.get('cut')).toMatchObject({ kind: 'answered', answer: { finish: 'length', usage } });
    const failures = Object.fromEntries(
      [...results.values()].flatMap((each) =>
        each.kind === 'error'
          ? [[each.customId, [each.error.name, each.error.failure.code, each.error.failure.maybeBilled]]]
          : [],
      ),
    );
    expect(failures).toEqual({
      refused: ['TerminalError', 'content_refused', true],
      tool: ['RetryableError', 'provider_bad_answer', true],
      strange: ['RetryableError', 'provider_bad_answer', true],
      bad: ['TerminalError', 'provider_refused_request', false],
      busy: ['RetryableError', 'provider_unavailable', false],
      slow: ['RetryableError', 'provider_timeout', false],
      new: ['RetryableError', 'provider_bad_answer', true],
    });
    expect(results.get('refused')).toMatchObject({ error: { failure: { usage } } });
    expect(results.get('bad')).toMatchObject({ error: { failure: { providerRequestId: 'req_7' } } });
    const bad = results.get('bad');
    if (bad?.kind !== 'error') throw new Error('expected an error');
    expect(bad.error.message).toContain('parameter max_tokens');
    expect(bad.error.message).not.toContain('secret');
    expect(results.get('gone')).toEqual({ customId: 'gone', kind: 'unbilled', reason: 'cancelled' });
    expect(results.get('late')).toEqual({ customId: 'late', kind: 'unbilled', reason: 'expired' });
  });

  test('of a batch that has not ended, and of a server that fails, come later', async () => {
    expect(await failureOf(resultsOf(port, endedBatch()))).toBeInstanceOf(RetryableError);
    server.routes['GET /results'] = (_request, response) => refuse(response, 500, { type: 'api_error' });
    const handles = { resultsUrl: `${server.url}/results` };
    expect(await failureOf(resultsOf(port, endedBatch({ handles })))).toBeInstanceOf(RetryableError);
  });

  test('that have vanished after their time never come', async () => {
    const handles = { resultsUrl: `${server.url}/results` };
    expect(await failureOf(resultsOf(port, endedBatch({ handles })))).toBeInstanceOf(TerminalError);
  });
});

test('an OpenAI-compatible server has no batches', () => {
  const options = { name: 'house', kind: 'openai_compatible', apiKey: '', maxConcurrentSockets: 1 } as const;
  expect(createBatchPort({ ...options, baseUrl: server.url })).toBeNull();
});
