import type { ErrorCode, JobError } from '@millrace/contracts';
import type { ClientLineResult } from '@millrace/ledger';
import { describe, expect, it } from 'vitest';
import { toResultLine } from './result-line.ts';

const line: ClientLineResult = {
  line: 1,
  customId: 'x',
  jobId: 'job_1',
  status: 'completed',
  output: 'an answer',
  error: null,
  finishedAt: 1_000,
  erased: false,
  target: 'openai/gpt',
  truncated: false,
  inputTokens: 5,
  cachedInputTokens: 0,
  outputTokens: 2,
  reasoningTokens: 0,
  encodingFormat: null,
};

interface Written {
  response: { status_code: number; body: Record<string, unknown> };
}

const write = (change: Partial<ClientLineResult>, endpoint = '/v1/chat/completions'): Written =>
  JSON.parse([...toResultLine({ ...line, ...change }, endpoint)].join('')) as Written;

describe('a line that failed', () => {
  const failed = (code: ErrorCode, status?: number | null): Written => {
    const provider = { name: 'openai', code: null, request_id: null };
    const error: JobError = {
      code,
      message: 'why',
      ...(status === undefined ? {} : { provider: { ...provider, status } }),
    };
    return write({ status: 'failed', output: null, error });
  };

  // A client sends lines with a status of 500 and more again, and pays for the same refusal again.
  it.each([
    ['content_refused', 200, 400],
    ['content_refused', null, 400],
    ['output_invalid', undefined, 422],
    ['output_truncated', undefined, 422],
  ] as const)('with %s is not to be sent again: %s is written as %s', (code, status, written) => {
    expect(failed(code, status).response).toMatchObject({
      status_code: written,
      body: { error: { message: 'why', type: 'invalid_request_error', param: null, code } },
    });
  });

  it.each([
    ['content_refused', 403, 403, 'invalid_request_error'],
    ['provider_refused_request', 404, 404, 'invalid_request_error'],
    ['retries_exhausted', 503, 503, 'server_error'],
    ['retries_exhausted', 200, 500, 'server_error'],
    ['worker_crashed', undefined, 500, 'server_error'],
  ] as const)('with %s and the status %s of its provider is written as %s', (code, status, written, type) => {
    expect(failed(code, status).response).toMatchObject({
      status_code: written,
      body: { error: { type, code } },
    });
  });
});

/** What the official SDK's types promise; `output_text` is made by the SDK, of what it received. */
const PROMISED = {
  '/v1/chat/completions': ['id', 'choices', 'created', 'model', 'object'],
  '/v1/responses': [
    ...['id', 'access_programs', 'created_at', 'error', 'incomplete_details', 'instructions', 'metadata'],
    ...['model', 'object', 'output', 'parallel_tool_calls', 'temperature', 'tool_choice', 'tools', 'top_p'],
  ],
  '/v1/embeddings': ['data', 'model', 'object', 'usage'],
};

describe('the body of an answer', () => {
  it.each(Object.entries(PROMISED))('of %s has all that its type has', (endpoint, names) => {
    const { body } = write(endpoint === '/v1/embeddings' ? { output: [] } : {}, endpoint).response;
    expect(Object.keys(body)).toEqual(expect.arrayContaining(names));
  });

  it('of a chat has a message with its refusal, and a choice with its logprobs', () => {
    const { choices } = write({}).response.body;
    const message = { role: 'assistant', content: 'an answer', refusal: null };
    expect(choices).toMatchObject([{ index: 0, finish_reason: 'stop', logprobs: null, message }]);
  });
});
