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
    name: 'openai',
    kind: 'openai',
    baseUrl: `${server.url}/v1`,
    apiKey: 'sk-test',
    maxConcurrentSockets: 8,
    now: () => now,
  })!;
});

/** A batch as the vendor sends it. */
function vendorBatch(overrides: Record<string, unknown> = {}) {
  return {
    id: 'batch_1',
    object: 'batch',
    endpoint: '/v1/responses',
    status: 'validating',
    input_file_id: 'file_in',
    output_file_id: null,
    error_file_id: null,
    errors: null,
    created_at: now / 1000,
    expires_at: now / 1000 + 86_400,
    request_counts: { total: 0, completed: 0, failed: 0 },
    usage: null,
    metadata: { millrace_batch_id: 'bat_01' },
    ...overrides,
  };
}

describe('a line', () => {
  test('says what a realtime call says, without stream and tier', () => {
    const call = aCall({ serviceTier: 'flex' });
    expect(JSON.parse(port.toLine('bat_01-1', call))).toEqual({
      custom_id: 'bat_01-1',
      method: 'POST',
      url: '/v1/responses',
      body: {
        model: 'test-model',
        instructions: 'You explain water machines.',
        input: [{ role: 'user', content: 'What carries the river to the wheel, please?' }],
        max_output_tokens: 200,
        store: false,
      },
    });
    expect(port.toLine('x', aCall({ system: 'two\nlines\u2028here' }))).not.toContain('\n');
  });

  test('cannot have the priority tier', () => {
    expect(port.refuse(aCall())).toBeNull();
    expect(port.refuse(aCall({ serviceTier: 'priority' }))).toContain('priority');
  });
});

describe('submitting', () => {
  const lines = ['{"custom_id":"bat_01-1"}', '{"custom_id":"bat_01-2","é":"水"}'];

  test('uploads the lines, tells the file before it creates the batch, and names our batch in it', async () => {
    server.routes = {
      'POST /v1/files': () => ({ id: 'file_in' }),
      'POST /v1/batches': () => vendorBatch(),
    };
    const progress = aProgress();
    const batch = await port.submit(aSubmission(lines), progress);
    expect(server.asked).toEqual(['POST /v1/files', 'POST /v1/batches']);
    const [upload, create] = server.seen;
    expect(upload!.headers['content-type']).toContain('multipart/form-data');
    expect(upload!.headers['transfer-encoding']).toBe('chunked');
    expect(upload!.body).toContain('filename="bat_01.jsonl"');
    expect(upload!.body).toContain(`\r\n\r\n${lines.join('\n')}\n\r\n`);
    expect(upload!.body).toMatch(/name="purpose"\r\n\r\nbatch\r\n/);
    expect(upload!.body).toMatch(/name="expires_after\[seconds\]"\r\n\r\n259200\r\n/);
    expect(JSON.parse(create!.body)).toEqual({
      input_file_id: 'file_in',
      endpoint: '/v1/responses',
      completion_window: '24h',
      metadata: { millrace_batch_id: 'bat_01' },
      output_expires_after: { anchor: 'created_at', seconds: 604_800 },
    });
    expect(progress.told).toEqual([{ inputFileId: 'file_in' }]);
    expect(batch).toEqual({
      providerBatchId: 'batch_1',
      phase: 'validating',
      counts: null,
      createdAt: now,
      expiresAt: now + 86_400_000,
      endedAt: null,
      failure: null,
      handles: { inputFileId: 'file_in' },
      usage: null,
    });
  });

  test('after a crash takes the file that is there already', async () => {
    server.routes = {
      'GET /v1/files/file_in': () => ({ id: 'file_in' }),
      'POST /v1/batches': () => vendorBatch(),
    };
    await port.submit(aSubmission(lines, { handles: { inputFileId: 'file_in' } }), aProgress());
    expect(server.asked).toEqual(['GET /v1/files/file_in', 'POST /v1/batches']);
  });

  test('uploads again when that file is gone', async () => {
    server.routes = {
      'POST /v1/files': () => ({ id: 'file_new' }),
      'POST /v1/batches': () => vendorBatch(),
    };
    await port.submit(aSubmission(lines, { handles: { inputFileId: 'file_in' } }), aProgress());
    expect(server.asked).toEqual(['GET /v1/files/file_in', 'POST /v1/files', 'POST /v1/batches']);
    expect(JSON.parse(server.seen[2]!.body)).toMatchObject({ input_file_id: 'file_new' });
  });

  test('creates nothing when what was uploaded could not be recorded', async () => {
    server.routes = { 'POST /v1/files': () => ({ id: 'file_in' }) };
    const error = new Error('the ledger is away');
    const submitted = port.submit(aSubmission(lines), { onUploaded: () => Promise.reject(error) });
    await expect(submitted).rejects.toBe(error);
    expect(server.asked).toEqual(['POST /v1/files']);
  });

  test('passes the error of a source that fails in the middle', async () => {
    server.routes = { 'POST /v1/files': () => ({ id: 'file_in' }) };
    const error = new Error('the ledger is away');
    async function* failing() {
      yield await Promise.resolve('{}');
      throw error;
    }
    await expect(port.submit(aSubmission([], { lines: failing() }), aProgress())).rejects.toBe(error);
    expect(server.asked).toEqual([]);
  });

  test('is asked once, and a lost answer may have made a batch', async () => {
    server.routes = {
      'POST /v1/files': () => ({ id: 'file_in' }),
      'POST /v1/batches': (_request, response) => void response.socket!.resetAndDestroy(),
    };
    const error = await failureOf(port.submit(aSubmission(lines), aProgress()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', maybeBilled: true });
    expect(server.asked).toEqual(['POST /v1/files', 'POST /v1/batches']);
  });

  test('is refused with the vendor’s code, and says how long to wait where the vendor does', async () => {
    server.routes = {
      'POST /v1/files': () => ({ id: 'file_in' }),
      'POST /v1/batches': (_request, response) =>
        refuse(response, 400, { code: 'billing_hard_limit_reached', message: 'pay first' }),
    };
    const error = await failureOf(port.submit(aSubmission(lines), aProgress()));
    expect(error).toBeInstanceOf(TerminalError);
    expect(error.failure).toMatchObject({ code: 'provider_quota', scope: 'account', maybeBilled: false });
  });

  test('ends with the caller’s reason when it is aborted', async () => {
    const controller = new AbortController();
    const reason = new Error('this process stops');
    server.routes = { 'POST /v1/files': () => controller.abort(reason) };
    const submitted = port.submit(aSubmission(lines, { signal: controller.signal }), aProgress());
    await expect(submitted).rejects.toBe(reason);
  });
});

describe('a lost batch', () => {
  test('is found by our id, over pages, and not beyond the time it can have', async () => {
    const others = Array.from({ length: 100 }, (_each, at) =>
      vendorBatch({ id: `batch_o${at}`, metadata: { millrace_batch_id: 'bat_other' } }),
    );
    server.routes = {
      'GET /v1/batches?limit=100': () => ({ data: others, has_more: true }),
      'GET /v1/batches?limit=100&after=batch_o99': () => ({
        data: [
          vendorBatch({ id: 'batch_2', status: 'in_progress' }),
          vendorBatch({ id: 'batch_3', metadata: null }),
          vendorBatch({ id: 'batch_4', created_at: now / 1000 - 3600 }),
        ],
        has_more: true,
      }),
    };
    const found = await port.find({ batchId: 'bat_01', lineCount: 3, since: now });
    expect(found.map(({ batch, certain }) => [batch.providerBatchId, batch.phase, certain])).toEqual([
      ['batch_2', 'in_progress', true],
    ]);
    expect(server.seen).toHaveLength(2);
  });
});

describe('a batch', () => {
  test('that ended has its files, counts and usage', async () => {
    server.routes['GET /v1/batches/batch_1'] = () =>
      vendorBatch({
        status: 'expired',
        expired_at: now / 1000 + 5,
        output_file_id: 'file_out',
        error_file_id: 'file_err',
        request_counts: { total: 3, completed: 2, failed: 1 },
        usage: { input_tokens: 10, output_tokens: 20, total_tokens: 30 },
      });
    expect(await port.retrieve('batch_1')).toMatchObject({
      phase: 'expired',
      counts: { total: 3, completed: 2, failed: 1 },
      endedAt: now + 5_000,
      handles: { inputFileId: 'file_in', outputFileId: 'file_out', errorFileId: 'file_err' },
      usage: { inputTokens: 10, outputTokens: 20 },
    });
  });

  test('that failed says why, with the line', async () => {
    server.routes['GET /v1/batches/batch_1'] = () =>
      vendorBatch({
        status: 'failed',
        failed_at: now / 1000,
        errors: { data: [{ code: 'token_limit_exceeded', message: 'Enqueued token limit', line: 7 }] },
      });
    expect((await port.retrieve('batch_1')).failure).toEqual({
      code: 'token_limit_exceeded',
      message: 'line 7: Enqueued token limit',
    });
  });

  test('that comes in a shape nobody knows can be asked again', async () => {
    server.routes['GET /v1/batches/batch_1'] = () => ({ hello: 'world' });
    const error = await failureOf(port.retrieve('batch_1'));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure.code).toBe('provider_bad_answer');
  });

  test('is cancelled, and one that has ended is left alone', async () => {
    server.routes['POST /v1/batches/batch_1/cancel'] = () => vendorBatch({ status: 'cancelling' });
    await port.cancel('batch_1');
    server.routes = {
      'POST /v1/batches/batch_1/cancel': (_request, response) => refuse(response, 409, { message: 'over' }),
      'GET /v1/batches/batch_1': () => vendorBatch({ status: 'completed' }),
    };
    await port.cancel('batch_1');
    server.routes['GET /v1/batches/batch_1'] = () => vendorBatch({ status: 'in_progress' });
    expect((await failureOf(port.cancel('batch_1'))).failure.httpStatus).toBe(409);
  });

  test('is discarded file by file, and a file that is gone is no error', async () => {
    server.routes = { 'DELETE /v1/files/file_out': () => ({ id: 'file_out', deleted: true }) };
    const handles = { inputFileId: 'file_in', outputFileId: 'file_out' };
    await port.discard(endedBatch({ handles }));
    expect(server.asked.sort()).toEqual(['DELETE /v1/files/file_in', 'DELETE /v1/files/file_out']);
    server.routes['DELETE /v1/files/file_in'] = (_request, response) => refuse(response, 500, {});
    expect((await failureOf(port.discard(endedBatch({ handles })))).failure.httpStatus).toBe(500);
  });
});

/** A response's body, as a line of the output file holds it. */
function responseBody(overrides: Record<string, unknown> = {}) {
  return {
    id: 'resp_1',
    object: 'response',
    status: 'completed',
    error: null,
    incomplete_details: null,
    model: 'gpt-6-luna-2026-09-01',
    service_tier: 'default',
    output: [
      { id: 'rs_1', type: 'reasoning', summary: [] },
      {
        type: 'message',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'A millrace, naïve 水.' }],
      },
    ],
    usage: {
      input_tokens: 1200,
      input_tokens_details: { cached_tokens: 1024, cache_write_tokens: 100 },
      output_tokens: 90,
      output_tokens_details: { reasoning_tokens: 64 },
      total_tokens: 1290,
    },
    ...overrides,
  };
}

function outputLine(customId: string, body: unknown, status = 200) {
  const response = { status_code: status, request_id: `req_${customId}`, body };
  return JSON.stringify({ id: 'batch_req_1', custom_id: customId, response, error: null });
}

describe('results', () => {
  const usage = {
    inputTokens: 1200,
    cachedInputTokens: 1024,
    cacheWriteTokens: 100,
    outputTokens: 90,
    reasoningTokens: 64,
  };
  const handles = { outputFileId: 'out', errorFileId: 'err' };

  test('are the answers and errors that realtime would have brought, of both files, in the batch tier', async () => {
    const refusal = { type: 'message', content: [{ type: 'refusal', refusal: 'no' }] };
    server.routes = {
      'GET /v1/files/out/content': (_request, response) =>
        void sendInPieces(
          response,
          `${[
            outputLine('fine', responseBody()),
            outputLine(
              'cut',
              responseBody({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }),
            ),
            outputLine('refused', responseBody({ output: [refusal] })),
            outputLine(
              'failed',
              responseBody({ status: 'failed', error: { code: 'server_error', message: 'x' } }),
            ),
            outputLine('uncounted', responseBody({ usage: null })),
            outputLine('strange', { something: 'else' }),
            '',
            '{"id":"batch_req_2","custom_id":"wreck","response":{"status',
            'not even that',
          ].join('\n')}\n`,
        ),
      'GET /v1/files/err/content': (_request, response) =>
        void sendInPieces(
          response,
          [
            outputLine(
              'limited',
              { error: { code: 'rate_limit_exceeded', message: 'slow', type: 'tokens' } },
              429,
            ),
            outputLine(
              'bad',
              {
                error: {
                  code: 'unsupported_parameter',
                  type: 'invalid_request_error',
                  param: 'temperature',
                  message: 'no: a river carries the secret',
                },
              },
              400,
            ),
            outputLine('broken', '<html></html>', 500),
            outputLine('nothing', null, 0),
            '{"custom_id":"late","response":null,"error":{"code":"batch_expired","message":"x"}}',
            '{"custom_id":"gone","response":null,"error":{"code":"batch_cancelled","message":"x"}}',
          ].join('\n'),
        ),
    };
    const results = await resultsOf(port, endedBatch({ handles }));
    expect(results.get('fine')).toEqual({
      customId: 'fine',
      kind: 'answered',
      answer: {
        text: 'A millrace, naïve 水.',
        finish: 'stop',
        usage,
        usageEstimated: false,
        model: 'gpt-6-luna-2026-09-01',
        serviceTier: 'batch',
        providerRequestId: 'req_fine',
        responseId: 'resp_1',
        httpStatus: 200,
        limits: {},
      },
    });
    expect(results.get('cut')).toMatchObject({ kind: 'answered', answer: { finish: 'length', usage } });
    expect(results.get('uncounted')).toMatchObject({ kind: 'answered', answer: { usageEstimated: true } });
    const failures = Object.fromEntries(
      [...results.values()].flatMap((each) =>
        each.kind === 'error'
          ? [[each.customId, [each.error.name, each.error.failure.code, each.error.failure.maybeBilled]]]
          : [],
      ),
    );
    expect(failures).toEqual({
      refused: ['TerminalError', 'content_refused', true],
      failed: ['RetryableError', 'provider_unavailable', true],
      strange: ['RetryableError', 'provider_bad_answer', true],
      wreck: ['RetryableError', 'provider_bad_answer', true],
      limited: ['RetryableError', 'provider_rate_limited', false],
      bad: ['TerminalError', 'provider_refused_request', false],
      broken: ['RetryableError', 'provider_unavailable', false],
      nothing: ['RetryableError', 'provider_unavailable', false],
    });
    expect(results.get('refused')).toMatchObject({ error: { failure: { usage } } });
    expect(results.get('late')).toEqual({ customId: 'late', kind: 'unbilled', reason: 'expired' });
    expect(results.get('gone')).toEqual({ customId: 'gone', kind: 'unbilled', reason: 'cancelled' });
    const bad = results.get('bad');
    if (bad?.kind !== 'error') throw new Error('expected an error');
    expect(bad.error.message).toContain('parameter temperature');
    expect(bad.error.message).not.toContain('secret');
    expect(results.size).toBe(13);
  });

  test.each([
    ['no file at all', {}, { total: 2, completed: 1, failed: 1 }],
    ['no file and no counts', {}, null],
    ['an output file without the error file that the counts promise', { outputFileId: 'out' }, undefined],
  ])('of a batch with %s come later', async (_what, some, counts) => {
    const batch = endedBatch({
      endedAt: now - 60_000,
      handles: some,
      ...(counts === undefined ? {} : { counts }),
    });
    const error = await failureOf(resultsOf(port, batch));
    expect(error).toBeInstanceOf(RetryableError);
    expect((error as RetryableError).retryAfterMs).toBe(30_000);
    expect(error.failure.maybeBilled).toBe(false);
  });

  test('whose file answers 404 come later, and after an hour no more', async () => {
    const late = await failureOf(resultsOf(port, endedBatch({ handles, endedAt: now - 60_000 })));
    expect(late).toBeInstanceOf(RetryableError);
    const gone = await failureOf(resultsOf(port, endedBatch({ handles, endedAt: now - 7_200_000 })));
    expect(gone).toBeInstanceOf(TerminalError);
    expect(gone.failure.httpStatus).toBe(404);
  });

  test('of a failed batch are none', async () => {
    const batch = endedBatch({ phase: 'failed', counts: null, handles: { inputFileId: 'in' } });
    expect((await resultsOf(port, batch)).size).toBe(0);
  });

  test.each([
    ['a connection that breaks', (cut: () => void) => cut()],
    ['a file that ends inside a line', (_cut: () => void, end: () => void) => end()],
  ])('that stop with %s can be read again', async (_how, stop) => {
    const whole = outputLine('fine', responseBody());
    server.routes['GET /v1/files/out/content'] = (_request, response) => {
      response.writeHead(200);
      response.write(`${whole}\n${whole.slice(0, 50)}`, () =>
        stop(
          () => response.socket!.resetAndDestroy(),
          () => response.end(),
        ),
      );
    };
    const seen: string[] = [];
    const batch = endedBatch({ handles: { outputFileId: 'out' }, counts: null });
    const reading = (async () => {
      for await (const result of port.results(batch, new AbortController().signal))
        seen.push(result.customId);
    })();
    const error = await failureOf(reading);
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.message).not.toContain('fine');
    // A reset may overtake what was sent before it.
    expect(['', 'fine']).toContain(seen.join());
  });

  test('whose reader leaves, or is aborted, close the connection', async () => {
    const closed: Promise<void>[] = [];
    server.routes['GET /v1/files/out/content'] = (_request, response) => {
      closed.push(new Promise((resolve) => response.once('close', resolve)));
      response.writeHead(200);
      response.write(`${outputLine('fine', responseBody())}\n`);
    };
    const batch = endedBatch({ handles: { outputFileId: 'out' }, counts: null });
    for await (const result of port.results(batch, new AbortController().signal)) {
      expect(result.customId).toBe('fine');
      break;
    }
    await closed[0];
    const controller = new AbortController();
    const reason = new Error('this process stops');
    const reading = (async () => {
      for await (const result of port.results(batch, controller.signal)) {
        expect(result.customId).toBe('fine');
        setImmediate(() => controller.abort(reason));
      }
    })();
    await expect(reading).rejects.toBe(reason);
    await closed[1];
  });
});
