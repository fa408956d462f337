import { connect } from 'node:net';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { problemSchema } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  key = await api.createKey('acme', 'jobs');
});
afterAll(() => api.stop());

test('every error is a problem document with the request id, and says nothing about the inside', async () => {
  const answers = [
    await api.send(key, 'GET', '/nowhere'),
    await api.send(key, 'GET', '/v1/nowhere'),
    await api.send(key, 'PUT', '/v1/jobs'),
    await api.send(key, 'GET', '/v1/jobs/%E0%A4%A'),
    await api.send(key, 'GET', '/v1/jobs/%00'),
    await api.send(null, 'GET', '/v1/jobs'),
    await api.submit(key, { secret: 'do not repeat me' }),
  ];
  expect(answers.map((answer) => answer.status)).toEqual([404, 404, 405, 404, 404, 401, 422]);
  for (const answer of answers) {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(problemSchema.parse(answer.body).request_id).toBe(answer.headers.get('x-request-id'));
    expect(answer.text).not.toMatch(/node_modules|\.ts:|do not repeat me/);
  }
  expect(answers[2]!.headers.get('allow')).toBe('GET, HEAD, POST');
});

test('a well-formed request id is kept, another one is replaced', async () => {
  const kept = await api.send(null, 'GET', '/livez', { headers: { 'x-request-id': 'abc-123' } });
  expect(kept.headers.get('x-request-id')).toBe('abc-123');
  const replaced = await api.send(null, 'GET', '/livez', { headers: { 'x-request-id': 'a b"<script>' } });
  expect(replaced.headers.get('x-request-id')).toMatch(/^req_[0-9a-f-]{36}$/);
});

test('every answer forbids what it does not need, and does not name its software', async () => {
  const { headers } = await api.send(key, 'GET', '/v1/jobs');
  expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'");
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('x-powered-by')).toBeNull();
});

test('a body that is too large is refused, also when it is only large once unpacked', async () => {
  const large = JSON.stringify({ ...callBody, prompt: 'x'.repeat(11_000_000) });
  const plain = await api.submit(key, large);
  const packed = await api.send(key, 'POST', '/v1/jobs', {
    body: gzipSync(large),
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', 'idempotency-key': 'packed' },
  });
  for (const answer of [plain, packed]) {
    expect([answer.status, answer.body.code]).toEqual([413, 'body_too_large']);
    expect(answer.body.detail).toContain('10485760');
  }
});

test('a packed body is read', async () => {
  const answer = await api.send(key, 'POST', '/v1/jobs', {
    body: gzipSync(JSON.stringify(callBody)),
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip', 'idempotency-key': 'gzip' },
  });
  expect(answer.status).toBe(202);
});

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
test.each([
  ['no JSON', bytes('{"type":'), 'application/json', 400, 'invalid_json'],
  ['nothing', bytes(''), 'application/json', 400, 'invalid_json'],
  ['a broken compression', bytes('{}'), 'application/json;gzip', 400, 'invalid_json'],
  ['bytes that are not UTF-8', bytes('"\xff"'), 'application/json', 400, 'invalid_json'],
  ['nesting without end', bytes('['.repeat(100_000)), 'application/json', 400, 'invalid_json'],
  [
    'nesting that is only deep',
    bytes('['.repeat(65) + ']'.repeat(65)),
    'application/json',
    400,
    'invalid_json',
  ],
  ['another type', bytes('{}'), 'text/plain', 415, 'unsupported_media_type'],
  ['no type', bytes('{}'), '', 415, 'unsupported_media_type'],
  ['another charset', bytes('{}'), 'application/json; charset=utf-16', 415, 'unsupported_media_type'],
  ['another compression', bytes('{}'), 'application/json;lzma', 415, 'unsupported_media_type'],
])('a body with %s is refused', async (_title, body, type, status, code) => {
  const [mediaType, encoding] = /;(gzip|lzma)$/.test(type) ? type.split(';') : [type, ''];
  const answer = await api.send(key, 'POST', '/v1/jobs', {
    body,
    headers: {
      'idempotency-key': 'bad body',
      'content-type': mediaType ?? '',
      ...(encoding ? { 'content-encoding': encoding } : {}),
    },
  });
  expect([answer.status, answer.body.code]).toEqual([status, code]);
});

test('brackets inside texts are no nesting', async () => {
  const answer = await api.submit(key, { ...callBody, prompt: '\\"' + '[{'.repeat(200) });
  expect(answer.status).toBe(202);
});

test('one event is logged for each request, with its route but without what it carried', async () => {
  const answer = await api.submit(key, { ...callBody, prompt: 'the secret of the mill' });
  const event = await waitFor(
    () => api.logs().find((line) => line['request_id'] === answer.headers.get('x-request-id')),
    { what: 'the event of the request' },
  );
  expect(event).toMatchObject({
    msg: 'request',
    method: 'POST',
    route: '/v1/jobs',
    status: 202,
    tenant: 'acme',
    job: answer.body.id,
  });
  expect(event['duration_ms']).toBeGreaterThan(0);
  expect(JSON.stringify(api.logs())).not.toContain('the secret of the mill');
  expect(JSON.stringify(api.logs())).not.toContain(key);
});

test('a refused request is logged under the route that it was meant for', async () => {
  const answer = await api.send(null, 'GET', '/v1/jobs/job_00000000000000000000000000');
  const event = await waitFor(
    () => api.logs().find((line) => line['request_id'] === answer.headers.get('x-request-id')),
    { what: 'the event of the request' },
  );
  expect(event).toMatchObject({ route: '/v1/jobs/:id', status: 401, code: 'unauthenticated' });
});

test('a client that leaves in the middle of its body does no harm', async () => {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  await promisify(socket.write.bind(socket) as (text: string, done: () => void) => void)(
    `POST /v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\nx-request-id: left\r\ncontent-length: 100\r\n\r\n{"type"`,
  );
  socket.destroy();
  const event = await waitFor(() => api.logs().find((line) => line['request_id'] === 'left'), {
    what: 'the event of the request',
  });
  expect(event['status']).toBe(499);
  expect((await api.send(null, 'GET', '/livez')).status).toBe(200);
});
