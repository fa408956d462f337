import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { RetryableError, TerminalError } from '@millrace/contracts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createProvider } from '../create-provider.ts';
import type { ObservedLimits, Provider } from '../provider.ts';
import { aCall, failureOf, hooks } from '../testing/call-builder.ts';
import { answers, ScriptedServer } from '../testing/scripted-server.ts';

const server = new ScriptedServer();
let provider: Provider;
const KEY = 'sk-proj-abcdefghijklmnop';

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.seen.length = 0;
  provider = create(`${server.url}/v1`);
});

function create(baseUrl: string): Provider {
  return createProvider({
    name: 'openai',
    kind: 'openai',
    baseUrl,
    apiKey: KEY,
    maxConcurrentSockets: 8,
    now: () => Date.parse('2026-11-21T10:00:00Z'),
  });
}

const body = (code: string | null, type: string, message = 'Something about the request.') => ({
  error: { message, type, param: null, code },
});

const terminal = (code: string, scope: string) => ({ kind: TerminalError, code, scope, maybeBilled: false });
const retryable = (code: string, scope: string, maybeBilled = false) => ({
  kind: RetryableError,
  code,
  scope,
  maybeBilled,
});

const rows = [
  [
    400,
    body('context_length_exceeded', 'invalid_request_error'),
    terminal('context_length_exceeded', 'call'),
  ],
  [400, body('unsupported_value', 'invalid_request_error'), terminal('provider_refused_request', 'call')],
  [400, body('unsupported_parameter', 'invalid_request_error'), terminal('provider_refused_request', 'call')],
  [400, body(null, 'invalid_request_error'), terminal('provider_refused_request', 'call')],
  [400, body('content_policy_violation', 'invalid_request_error'), terminal('content_refused', 'call')],
  [400, body('invalid_prompt', 'invalid_request_error'), terminal('content_refused', 'call')],
  [400, body('billing_hard_limit_reached', 'invalid_request_error'), terminal('provider_quota', 'account')],
  [401, body('invalid_api_key', 'invalid_request_error'), terminal('provider_auth', 'account')],
  [401, '', terminal('provider_auth', 'account')],
  [403, body(null, 'invalid_request_error'), terminal('provider_auth', 'target')],
  [404, body('model_not_found', 'invalid_request_error'), terminal('provider_refused_request', 'target')],
  [413, body(null, 'invalid_request_error'), terminal('context_length_exceeded', 'call')],
  [422, body(null, 'invalid_request_error'), terminal('provider_refused_request', 'call')],
  [429, body('insufficient_quota', 'insufficient_quota'), terminal('provider_quota', 'account')],
  [429, body('rate_limit_exceeded', 'tokens'), retryable('provider_rate_limited', 'target')],
  [429, body('resource_unavailable', 'resource_unavailable'), retryable('provider_unavailable', 'target')],
  [
    429,
    body(null, 'invalid_request_error', 'Resource Unavailable'),
    { ...retryable('provider_unavailable', 'target'), providerCode: 'resource_unavailable' },
  ],
  [429, '', retryable('provider_rate_limited', 'target')],
  [408, '', retryable('provider_timeout', 'call', true)],
  [409, body(null, 'conflict'), retryable('provider_unavailable', 'call')],
  [500, body('server_error', 'server_error'), retryable('provider_unavailable', 'call')],
  [500, '', retryable('provider_unavailable', 'call')],
  [502, '<html>Bad gateway</html>', retryable('provider_unavailable', 'target', true)],
  [503, body(null, 'service_unavailable'), retryable('provider_unavailable', 'target')],
  [503, body('slow_down', 'rate_limit'), retryable('provider_rate_limited', 'target')],
  [
    503,
    body(null, 'service_unavailable', 'Slow Down'),
    { ...retryable('provider_rate_limited', 'target'), providerCode: 'slow_down' },
  ],
  [504, '', retryable('provider_timeout', 'call', true)],
  [520, '', retryable('provider_unavailable', 'call', true)],
] as const;

test.each(rows)('HTTP %i with %j is %o, after one request', async (status, answer, expected) => {
  // `x-should-retry` is the vendor's order to the SDK, which must not act on it.
  server.script = answers(status, answer, { 'x-should-retry': 'true', 'x-request-id': 'req_9' });
  const error = await failureOf(provider.call(aCall(), hooks()));
  const { kind, ...failure } = expected;
  expect(error).toBeInstanceOf(kind);
  expect(error.failure).toMatchObject({
    ...failure,
    httpStatus: status,
    providerRequestId: 'req_9',
    usage: null,
  });
  expect(server.seen).toHaveLength(1);
});

describe('the time to wait', () => {
  const limited = body('rate_limit_exceeded', 'requests');
  const exhausted = {
    'x-ratelimit-limit-requests': '60',
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-reset-requests': '1m2.5s',
    'x-ratelimit-limit-tokens': '1000',
    'x-ratelimit-remaining-tokens': '400',
    'x-ratelimit-reset-tokens': '9m0s',
  };

  test.each([
    ['retry-after-ms first', { 'retry-after-ms': '1500', 'retry-after': '60' }, 1500],
    ['retry-after in seconds', { 'retry-after': '120' }, 120_000],
    ['retry-after as a date', { 'retry-after': 'Sat, 21 Nov 2026 10:00:30 GMT' }, 30_000],
    ['a date that has passed', { 'retry-after': 'Sat, 21 Nov 2026 09:00:00 GMT' }, 0],
    ['the reset of the limit that is used up', exhausted, 62_500],
    ['nothing when nothing was named', {}, null],
    ['nothing when it is unreadable', { 'retry-after': 'soon' }, null],
  ])('is %s', async (_what, headers, expected) => {
    server.script = answers(429, limited, headers);
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect((error as RetryableError).retryAfterMs).toBe(expected);
  });

  test('comes with the limits that the refusal named', async () => {
    server.script = answers(429, limited, exhausted);
    const limits: ObservedLimits[] = [];
    await failureOf(provider.call(aCall(), hooks({ onLimits: (each) => limits.push(each) })));
    expect(limits).toEqual([
      {
        requests: { limit: 60, remaining: 0, resetMs: 62_500 },
        tokens: { limit: 1000, remaining: 400, resetMs: 540_000 },
      },
    ]);
  });
});

describe('the message', () => {
  test('has the status, the code and what the vendor said', async () => {
    server.script = answers(
      400,
      body('unsupported_value', 'invalid_request_error', "Unsupported value: 'minimal'."),
    );
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.message).toBe(
      "openai (400 unsupported_value): The provider refused the request as wrong: Unsupported value: 'minimal'.",
    );
  });

  test('has no key', async () => {
    server.script = answers(
      401,
      body('invalid_api_key', 'x', `Incorrect API key provided: ${KEY}. See sk-abc***xyz.`),
    );
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.message).toContain('sk-…');
    expect(JSON.stringify([error.message, error.failure, error.stack, String(error.cause)])).not.toMatch(
      /abcdefgh|xyz/,
    );
  });

  test('has nothing of the prompt when the server quotes it', async () => {
    server.script = answers(
      400,
      body(null, 'x', "bad value: input='carries the river to the wh' at messages[0]"),
    );
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(JSON.stringify([error.message, error.failure, error.stack, String(error.cause)])).not.toContain(
      'river',
    );
  });

  test('has nothing of a page that a gateway sent instead', async () => {
    server.script = answers(502, '<html>What carries the river to the wheel, please?</html>');
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.message).toBe('openai (502): The provider failed or could not be reached');
  });
});

describe('the network', () => {
  test('a refused connection has cost nothing', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const error = await failureOf(create(`http://127.0.0.1:${port}/v1`).call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({
      code: 'provider_unavailable',
      providerCode: 'ECONNREFUSED',
      maybeBilled: false,
      scope: 'target',
      httpStatus: null,
    });
  });

  test('a connection reset after the request was sent may have been billed', async () => {
    server.script = (_response, socket) => void socket.resetAndDestroy();
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error).toBeInstanceOf(RetryableError);
    expect(error.failure).toMatchObject({
      code: 'provider_unavailable',
      maybeBilled: true,
      httpStatus: null,
    });
    expect(server.seen).toHaveLength(1);
  });

  test('a connection closed without an answer may have been billed', async () => {
    server.script = (_response, socket) => void socket.end();
    const error = await failureOf(provider.call(aCall(), hooks()));
    expect(error.failure).toMatchObject({ code: 'provider_unavailable', maybeBilled: true });
    expect(server.seen).toHaveLength(1);
  });
});
