import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiKey, openDatabase, revokeApiKey } from '@millrace/ledger';
import { withTimeout } from '@millrace/test-support';
import { createHttpClient } from './http-client.ts';
import type { HttpAnswer, JobObject } from './http-client.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** In every prompt, document and piece of metadata here: it must never be seen outside of answers. */
const CANARY = 'canary-2f6b1d';

type Client = ReturnType<typeof createHttpClient>;
interface ProblemBody {
  code: string;
  detail: string;
  request_id: string;
  errors?: { path: string; message: string }[];
}

let stack: TestStack;
let own: Client;
let other: Client;
const keys: Record<'own' | 'other' | 'revoked' | 'board' | 'admin', string> = {
  own: '',
  other: '',
  revoked: '',
  board: '',
  admin: '',
};
beforeAll(async () => {
  stack = await startTestStack();
  const database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  const make = async (tenantId: string, scope: 'jobs' | 'board' | 'admin') =>
    createApiKey(database, { tenantId, name: 'e2e', scopes: [scope] });
  keys.own = (await make('acme', 'jobs')).text;
  keys.other = (await make('other', 'jobs')).text;
  keys.board = (await make('acme', 'board')).text;
  keys.admin = (await make('acme', 'admin')).text;
  const revoked = await make('acme', 'jobs');
  keys.revoked = revoked.text;
  await revokeApiKey(database, revoked.id);
  await database.close();
  own = createHttpClient(stack, keys.own);
  other = createHttpClient(stack, keys.other);
});
afterAll(() => stack.end());

const call = (more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt: `${CANARY} [[sim:reply=fine]]`,
  max_output_tokens: 20,
  ...more,
});

let serial = 0;
async function submit(body: unknown, headers: Record<string, string> = {}): Promise<HttpAnswer> {
  serial += 1;
  return own.ask('POST', '/v1/jobs', body, { 'idempotency-key': `hostile-${serial}`, ...headers });
}

/** Refused politely: a problem document of this status and code that names the path, quickly and without our insides. */
function expectProblem(answer: HttpAnswer, status: number, code: string, path?: string): void {
  const problem = answer.body as ProblemBody;
  expect([answer.status, problem.code]).toEqual([status, code]);
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(answer.headers.get('x-request-id')).toBe(problem.request_id);
  expect(answer.text).not.toMatch(/node_modules|\.ts:\d|at \w+ \(|SELECT |INSERT /);
  expect(answer.text).not.toContain(CANARY);
  expect(answer.tookMs).toBeLessThan(3_000);
  if (path !== undefined) {
    const paths = (problem.errors ?? []).map((each) => each.path);
    expect([...paths, problem.detail].join(' | ')).toContain(path);
  }
}

/** As {@link expectProblem}; below the routes that speak OpenAI's dialect the error has OpenAI's shape. */
function expectRefusal(path: string, answer: HttpAnswer, status: number, code: string): void {
  if (!/^\/v1\/(files|batches)\b/.test(path)) return expectProblem(answer, status, code);
  const { error } = answer.body as { error: { message: string; type: string } };
  expect([answer.status, typeof error.message, typeof error.type]).toEqual([status, 'string', 'string']);
  expect(answer.headers.get('x-should-retry')).toBe('false');
  expect(answer.text).not.toMatch(/node_modules|\.ts:\d|at \w+ \(|SELECT |INSERT /);
  expect(answer.text).not.toContain(CANARY);
}

const nest = (depth: number): object =>
  depth === 0 ? call() : { type: 'chain', steps: [{ name: 'a', ...nest(depth - 1) }] };
const webhook = (url: string) => call({ webhook: { url } });

describe('a request for a job is refused with its path', () => {
  it.each([
    ['an unknown field', call({ prioritty: 'realtime' }), 'validation_failed', 'prioritty'],
    [
      'an unknown field deep inside',
      { type: 'chain', steps: [{ name: 'a', ...call({ x: 1 }) }] },
      'validation_failed',
      'steps[0].x',
    ],
    ['a wrong type', call({ max_output_tokens: '12' }), 'validation_failed', 'max_output_tokens'],
    ['no type', { prompt: 'x' }, 'validation_failed', 'type'],
    ['a plan nested nine deep', nest(8), 'plan_too_deep', 'steps[0]'],
    [
      'too many nodes',
      {
        type: 'fan_out',
        branches: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`b${i}`, call()])),
      },
      'plan_too_large',
      'branches',
    ],
    [
      'too many items',
      { type: 'map_reduce', items: Array.from({ length: 10_001 }, () => 1), map: call() },
      'plan_too_large',
      'items',
    ],
    [
      'too much metadata',
      call({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) }),
      'validation_failed',
      'metadata',
    ],
    ['a long metadata value', call({ metadata: { key: 'v'.repeat(513) } }), 'validation_failed', 'metadata'],
    [
      'a text of nine million characters',
      call({ prompt: 'x'.repeat(9_000_000) }),
      'prompt_too_large',
      'prompt',
    ],
    ['NUL in metadata', call({ metadata: { a: '\u0000' } }), 'validation_failed', 'NUL'],
    ['an unknown route', call({ route: 'nowhere' }), 'unknown_model', 'route'],
    ['an unknown provider', call({ route: undefined, model: 'evil/model' }), 'unknown_model', 'model'],
    ['a deadline in the past', call({ deadline: '2020-01-01T00:00:00Z' }), 'validation_failed', 'deadline'],
    ['a cost below nothing', call({ max_cost_usd: '-1' }), 'validation_failed', 'max_cost_usd'],
    ['a system text with data', call({ system: 'Obey {{ input.order }}' }), 'system_uses_data', 'system'],
    [
      'a system text with an item',
      { type: 'map_reduce', items: [1], map: call({ system: '{% if item %}x{% endif %}' }) },
      'system_uses_data',
      'map.system',
    ],
    ['an include', call({ prompt: '{% include "/etc/passwd" %}' }), 'template_invalid', 'prompt'],
    ['a render', call({ prompt: '{% render "../../package.json" %}' }), 'template_invalid', 'prompt'],
    ['a layout', call({ prompt: '{% layout "x" %}' }), 'template_invalid', 'prompt'],
    ['an open tag', call({ prompt: '{{ input' }), 'template_invalid', 'prompt'],
    [
      'an exponential pattern',
      call({ output: { schema: { type: 'string', pattern: '^(a+)+$' } } }),
      'output_schema_invalid',
      'output.schema.pattern',
    ],
    [
      'an exponential pattern of alternatives',
      call({ output: { schema: { properties: { a: { pattern: '^(a|a)*$' } } } } }),
      'output_schema_invalid',
      'output.schema',
    ],
    [
      'an exponential name pattern',
      call({ output: { schema: { patternProperties: { '^(\\w+\\s?)*$': {} } } } }),
      'output_schema_invalid',
      'output.schema',
    ],
    [
      'a reference to another host',
      call({ output: { schema: { $ref: 'http://169.254.169.254/x' } } }),
      'output_schema_invalid',
      'output.schema',
    ],
    [
      'a schema that is none',
      call({ output: { schema: { type: 'nonsense' } } }),
      'output_schema_invalid',
      'output.schema',
    ],
    [
      'a branch named __proto__',
      JSON.stringify({ type: 'fan_out', branches: {} }).replace(
        '{}',
        `{"__proto__":${JSON.stringify(call())}}`,
      ),
      'validation_failed',
      'branches',
    ],
    [
      'a field named __proto__',
      JSON.stringify(call()).replace(/\}$/, ',"__proto__":{"route":"cheap"}}'),
      'validation_failed',
      '__proto__',
    ],
    [
      'a field named constructor',
      call({ constructor: { prototype: { admin: true } } }),
      'validation_failed',
      'constructor',
    ],
  ])(
    '%s',
    async (_what, body, code, path) => {
      expectProblem(await submit(body), 422, code, path);
    },
    15_000,
  );

  it.each([
    'http://example.com/',
    'https://127.0.0.1/',
    'https://localhost/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://0/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://10.0.0.1/',
    'https://172.16.0.1/',
    'https://192.168.1.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://100.64.0.1/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://localhost./',
    'https://a.localhost/',
    'https://１２７.0.0.1/',
    'https://user:pw@example.com/',
    'https://example.com:22/',
    'https://intranet/',
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'javascript:alert(1)',
    '//example.com',
    'x',
  ])('a webhook to %s', async (url) => {
    const job = await submit(webhook(url));
    expect(['webhook_url_refused', 'validation_failed']).toContain((job.body as ProblemBody).code);
    expectProblem(job, 422, (job.body as ProblemBody).code, 'webhook.url');
    const endpoint = await own.ask('POST', '/v1/webhook_endpoints', { url });
    expectProblem(endpoint, 422, (endpoint.body as ProblemBody).code, 'url');
  });
});

describe('a request that is no decent HTTP or JSON is refused', () => {
  it.each([
    ['half a document', '{"type":', 400, 'invalid_json'],
    ['nothing', '', 400, 'invalid_json'],
    ['no JSON', '<xml/>', 400, 'invalid_json'],
    ['trailing text', `${JSON.stringify(call())} x`, 400, 'invalid_json'],
    ['NaN', '{"a":NaN}', 400, 'invalid_json'],
    ['null', 'null', 422, 'validation_failed'],
    ['a list', '[]', 422, 'validation_failed'],
    ['a text', '"x"', 422, 'validation_failed'],
    ['a number beyond all numbers', '{"type":"call","max_output_tokens":1e999}', 422, 'validation_failed'],
    ['a hundred thousand brackets', '['.repeat(100_000), 400, 'invalid_json'],
    ['eleven megabytes', `"${'x'.repeat(11_000_000)}"`, 413, 'body_too_large'],
  ])('%s', async (_what, body, status, code) => {
    expectProblem(await submit(body), status, code);
  });

  it.each([
    ['another media type', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
    [
      'another character set',
      { 'content-type': 'application/json; charset=utf-16' },
      415,
      'unsupported_media_type',
    ],
    ['an unknown encoding', { 'content-encoding': 'zstd, x' }, 415, 'unsupported_media_type'],
    ['gzip that is none', { 'content-encoding': 'gzip' }, 400, 'invalid_json'],
    ['an empty key', { 'idempotency-key': '' }, 400, 'idempotency_key_'],
    ['a key of 256 characters', { 'idempotency-key': 'k'.repeat(256) }, 400, 'idempotency_key_invalid'],
  ])('%s', async (_what, headers, status, code) => {
    const answer = await submit(call(), headers);
    expect((answer.body as ProblemBody).code).toMatch(code);
    expectProblem(answer, status, (answer.body as ProblemBody).code);
  });

  it('unfolds no more of a compressed bomb than the cap', async () => {
    const bomb = gzipSync(Buffer.alloc(300_000_000, ' '), { level: 1 });
    const startedAt = performance.now();
    const response = await fetch(`${stack.apiUrl}/v1/jobs`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${keys.own}`,
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        'idempotency-key': 'bomb',
      },
      body: bomb,
      signal: AbortSignal.timeout(10_000),
    });
    expect([response.status, ((await response.json()) as ProblemBody).code]).toEqual([413, 'body_too_large']);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  }, 20_000);

  it.each([
    ['PUT', '/v1/jobs', 405],
    ['DELETE', '/v1/jobs', 405],
    ['PATCH', '/v1/jobs/job_01m7ypbxykrerr7b5jm4gmm4zq', 405],
    ['GET', '/v1/jobs/job_01m7ypbxykrerr7b5jm4gmm4zq/cancel', 405],
    ['POST', '/readyz', 405],
    ['GET', '/v1/nothing', 404],
    ['GET', '/v1/jobs/..%2f..%2fetc%2fpasswd', 404],
    ['GET', '/v1/jobs/%00', 404],
    ['GET', '/v1/jobs/%E0%A4%A', 404],
    ['GET', "/v1/jobs/'%20OR%201=1--", 404],
    ['GET', '/v1/jobs?limit=101', 422],
    ['GET', '/v1/jobs?limit=%00', 422],
    ['GET', '/v1/jobs?limit[]=1', 422],
    ['GET', '/v1/jobs?__proto__[a]=1', 422],
    ['GET', '/v1/webhook_deliveries?nonsense=1', 422],
  ])('%s %s', async (method, path, status) => {
    const answer = await own.ask(method, path);
    expectProblem(answer, status, (answer.body as ProblemBody).code);
    if (status === 405) expect(answer.headers.get('allow')).toMatch(/GET|POST/);
  });

  it('headers of a megabyte, and headers that never end, without harm to the others', async () => {
    const huge = await rawRequest(
      `GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-Huge: ${'x'.repeat(1_000_000)}\r\n\r\n`,
    );
    expect(huge).toMatch(/^HTTP\/1\.1 431 /);
    expect(await rawRequest('NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    // Two contents of one request: whoever stands in between could read another one.
    const smuggled =
      'POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    expect(await rawRequest(smuggled)).toMatch(/^HTTP\/1\.1 400 /);

    // Bodies that come at one byte a second hold their own connections only.
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect(Number(new URL(stack.apiUrl).port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(
        `POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${keys.own}\r\nContent-Type: application/json\r\n` +
          'Idempotency-Key: slow\r\nContent-Length: 1000\r\n\r\n{',
      );
      return socket;
    });
    // The API may have no time for one of them, so the quickest of up to three counts.
    let quickestMs = Infinity;
    for (let asks = 0; asks < 3 && quickestMs >= 1_000; asks += 1) {
      const answer = await submit(call());
      expect(answer.status).toBe(202);
      quickestMs = Math.min(quickestMs, answer.tookMs);
    }
    expect(quickestMs).toBeLessThan(1_000);
    expect(slow.filter((socket) => socket.destroyed)).toEqual([]);
    for (const socket of slow) socket.destroy();
  }, 20_000);
});

describe('keys and tenants', () => {
  it('treats foreign ids exactly as unknown ones on every route of the document', async () => {
    const endpoint = await own.ask('POST', '/v1/webhook_endpoints', { url: 'https://example.com/hooks' });
    const job = (await submit(call({ metadata: { secret: CANARY } }))).body as JobObject;
    await own.allEnded([job.id], 15_000);
    const deliveries = await own.ask('GET', `/v1/webhook_deliveries?job_id=${job.id}`);
    const { fileId, batchId } = await startBatch();
    const ids: Record<string, string> = {
      files: fileId,
      batches: batchId,
      jobs: job.id,
      webhook_endpoints: (endpoint.body as { id: string }).id,
      webhook_deliveries: (deliveries.body as { data: { id: string }[] }).data[0]!.id,
    };
    const document = (await own.ask('GET', '/openapi.json')).body as {
      paths: Record<string, Record<string, unknown>>;
    };
    let tried = 0;
    for (const [path, methods] of Object.entries(document.paths)) {
      const kind = /^\/v1\/(\w+)\/\{id\}/.exec(path)?.[1];
      if (kind === undefined) continue;
      const id = ids[kind]!;
      const unknown = `${id.slice(0, -6)}zzzzzz`;
      for (const method of Object.keys(methods)) {
        if (!['get', 'post', 'patch', 'delete'].includes(method)) continue;
        const body = bodyFor(path, method);
        const foreign = await other.ask(method.toUpperCase(), path.replace('{id}', id), body);
        const missing = await other.ask(method.toUpperCase(), path.replace('{id}', unknown), body);
        expectRefusal(path, foreign, 404, 'not_found');
        expect([path, method, comparable(foreign, id)]).toEqual([path, method, comparable(missing, unknown)]);
        tried += 1;
      }
    }
    expect(tried).toBeGreaterThanOrEqual(17);
    for (const path of [
      '/v1/jobs',
      '/v1/webhook_endpoints',
      '/v1/webhook_deliveries',
      '/v1/files',
      '/v1/batches',
      `/v1/webhook_deliveries?job_id=${job.id}`,
    ]) {
      expect(await other.ask('GET', path)).toMatchObject({ status: 200, body: { data: [] } });
    }
    expect((await own.get(job.id)).status).toBe('completed');
    // The same key of another tenant is another key.
    const headers = { 'idempotency-key': 'shared-key' };
    const mine = await own.ask('POST', '/v1/jobs', call(), headers);
    const theirs = await other.ask('POST', '/v1/jobs', call({ priority: 'background' }), headers);
    expect([mine.status, theirs.status]).toEqual([202, 202]);
  }, 40_000);

  it('refuses requests without a key, with a wrong, a revoked or a lesser one', async () => {
    const none = createHttpClient(stack, '');
    const wrong = createHttpClient(stack, `${keys.own.slice(0, -4)}0000`);
    const revoked = createHttpClient(stack, keys.revoked);
    const board = createHttpClient(stack, keys.board);
    const document = (await own.ask('GET', '/openapi.json')).body as {
      paths: Record<string, Record<string, unknown>>;
    };
    for (const [path, methods] of Object.entries(document.paths).filter(([each]) =>
      each.startsWith('/v1/'),
    )) {
      for (const method of Object.keys(methods)) {
        const send = (client: Client) =>
          client.ask(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x'), bodyFor(path, method));
        for (const client of [none, wrong, revoked])
          expectRefusal(path, await send(client), 401, 'unauthenticated');
        expectRefusal(path, await send(board), 403, 'insufficient_scope');
      }
    }
    expectProblem(await own.ask('GET', '/internal/scaling'), 403, 'insufficient_scope');
    expectProblem(await none.ask('GET', '/internal/scaling'), 401, 'unauthenticated');
    expect((await createHttpClient(stack, keys.admin).ask('GET', '/internal/scaling')).status).toBe(200);
    for (const client of [none, own, wrong]) {
      expect([401, 403]).toContain((await client.ask('GET', '/admin/queues')).status);
      expect([401, 403]).toContain((await client.ask('GET', '/admin/queues/api/queues')).status);
    }
    const queues = await board.ask('GET', '/admin/queues/api/queues?activeQueue=jobs&status=completed');
    expect(queues.status).toBe(200);
    expect(queues.text).not.toContain(CANARY);
    const change = await board.ask('PUT', '/admin/queues/api/queues/jobs/pause', {});
    expect(change.status).toBeGreaterThanOrEqual(400);
    expect(change.status).toBeLessThan(500);
  }, 40_000);
});

describe('a plan that is evil only when it runs', () => {
  it.each([
    ['loops without end', '{% for i in (1..100000000) %}x{% endfor %}'],
    [
      'loops in loops',
      '{% for a in (1..9999) %}{% for b in (1..9999) %}{% for c in (1..9999) %}{% endfor %}{% endfor %}{% endfor %}',
    ],
    ['makes ten megabytes', '{% for a in (1..1000) %}{{ input.long }}{% endfor %}'],
    [
      'doubles a text',
      '{% assign x = input.long %}{% for a in (1..40) %}{% assign x = x | append: x %}{% endfor %}{{ x }}',
    ],
    ['replaces without end', '{{ input.long | replace: "x", input.long | replace: "x", input.long }}'],
    [
      'splits and joins',
      '{% for a in (1..500) %}{% assign y = input.long | split: "" | join: input.long %}{% endfor %}{{ y }}',
    ],
  ])(
    'fails as template_failed and holds nobody up: it %s',
    async (_what, prompt) => {
      const evil = await submit(call({ prompt: `${CANARY}${prompt}`, input: { long: 'x'.repeat(10_240) } }));
      const neighbour = await submit(call());
      expect([evil.status, neighbour.status]).toEqual([202, 202]);
      const [ended] = await own.allEnded([(neighbour.body as JobObject).id], 10_000);
      expect(ended!.status).toBe('completed');
      const [failed] = await own.allEnded([(evil.body as JobObject).id], 10_000);
      expect([failed!.status, failed!.error?.code]).toEqual([
        'failed',
        expect.stringMatching(/^(template_failed|prompt_too_large)$/),
      ]);
      expect(failed!.error!.message).not.toContain(CANARY);
    },
    25_000,
  );

  it('gives names of built-in properties no meaning', async () => {
    const chain = {
      type: 'chain',
      steps: [
        { name: 'constructor', ...call() },
        { name: 'toString', ...call({ prompt: 'after {{ steps.constructor }} [[sim:reply=two]]' }) },
        {
          name: 'last',
          ...call({
            prompt:
              '[{{ steps.hasOwnProperty }}|{{ input.polluted }}|{{ input.__proto__.x }}] [[sim:reply=three]]',
          }),
        },
      ],
    };
    const text = JSON.stringify({ ...chain, input: 'INPUT' }).replace(
      '"INPUT"',
      '{"__proto__":{"polluted":"yes","x":"y"}}',
    );
    const answer = await submit(text);
    expect(answer.status).toBe(202);
    const fanOut = await submit({
      type: 'fan_out',
      branches: { constructor: call(), valueOf: call() },
      join: 'all',
    });
    expect(fanOut.status).toBe(202);
    const ended = await own.allEnded([(answer.body as JobObject).id, (fanOut.body as JobObject).id], 15_000);
    expect(ended.map((job) => [job.status, job.output])).toEqual([
      ['completed', 'three'],
      ['completed', { constructor: 'fine', valueOf: 'fine' }],
    ]);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
  }, 30_000);

  it('carries texts that PostgreSQL or Unicode does not like as they are', async () => {
    const bodies = [
      call({ prompt: 'a\u0000b [[sim:reply=nul]]' }),
      call({ prompt: '{{ input | join: "" }} [[sim:reply=name]]', input: { 'a\u0000': '\u0000' } }),
      call({ prompt: 'a\ud800 [[sim:reply=half]]' }),
      call({ prompt: `Say it [[sim:reply_base64=${Buffer.from('a\u0000b').toString('base64')}]]` }),
    ];
    const jobs = await Promise.all(bodies.map((body) => submit(body)));
    expect(jobs.map((answer) => answer.status)).toEqual(bodies.map(() => 202));
    const ended = await own.allEnded(
      jobs.map((answer) => (answer.body as JobObject).id),
      10_000,
    );
    expect(ended.map((job) => [job.status, job.output])).toEqual([
      ['completed', 'nul'],
      ['completed', 'name'],
      ['completed', 'half'],
      ['completed', 'a\u0000b'],
    ]);
    for (const { id } of ended)
      expect((await own.steps(id)).map((step) => step.status)).toEqual(['completed']);
  }, 20_000);

  it('checks an answer against a hard pattern without standing still', async () => {
    const patterns = ['^(?:[a-z]{1,20}[0-9]{0,20}){1,20}$', '(.*)(.*)(.*)(.*)(.*)[0-9]$', '^(?=(a+))\\1b$'];
    const answers = await Promise.all(
      patterns.map((pattern) =>
        submit(
          call({
            prompt: `${CANARY} [[sim:reply="${'a'.repeat(5_000)}!"]]`,
            output: { schema: { type: 'string', pattern } },
            max_output_tokens: 8_000,
          }),
        ),
      ),
    );
    expect(
      answers.map((answer) => answer.status).filter((status) => status !== 202 && status !== 422),
    ).toEqual([]);
    const ids = answers
      .filter((answer) => answer.status === 202)
      .map((answer) => (answer.body as JobObject).id);
    const neighbour = await submit(call());
    await own.allEnded([(neighbour.body as JobObject).id], 10_000);
    const ended = await own.allEnded(ids, 20_000);
    expect(ended.map((job) => job.status)).toEqual(ids.map(() => 'failed'));
  }, 40_000);
});

it('has nothing of it in logs and metrics: no prompt, no key, no secret, no failure of our own', async () => {
  const metrics = await own.ask('GET', '/metrics');
  const lines = [...stack.everyLine(), ...metrics.text.split('\n')];
  const secrets = [
    CANARY,
    ...Object.values(keys).map((key) => key.split('_')[2]!),
    stack.bootstrapKey.split('_')[2]!,
    'whsec_',
    'simulator-needs-no-key',
  ];
  for (const secret of secrets) expect(lines.filter((line) => line.includes(secret)).slice(0, 3)).toEqual([]);
  const failures = lines.filter(
    (line) => /^api \{.*"status":5\d\d/.test(line) || /"level":"(error|fatal)"/.test(line),
  );
  expect(failures).toEqual([]);
  expect(lines.filter((line) => /ended unexpectedly/.test(line))).toEqual([]);
});

/** A file and a batch of the first tenant, by way of the routes that speak OpenAI's dialect. */
async function startBatch(): Promise<{ fileId: string; batchId: string }> {
  const body = { model: 'cheap', messages: [{ role: 'user', content: `${CANARY} [[sim:reply=fine]]` }] };
  const line = { custom_id: 'a', method: 'POST', url: '/v1/chat/completions', body };
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([`${JSON.stringify(line)}\n`]), 'lines.jsonl');
  const headers = { authorization: `Bearer ${keys.own}` };
  const uploaded = await fetch(`${stack.apiUrl}/v1/files`, { method: 'POST', headers, body: form });
  const { id: fileId } = (await uploaded.json()) as { id: string };
  const created = await own.ask('POST', '/v1/batches', {
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  return { fileId, batchId: (created.body as { id: string }).id };
}

function bodyFor(path: string, method: string): unknown {
  if (method === 'patch') return { enabled: false };
  if (path.endsWith('/resolve')) return { action: 'retry' };
  return method === 'post' && path === '/v1/jobs' ? call() : undefined;
}

/** An answer without what names the request. */
function comparable(answer: HttpAnswer, id: string): unknown {
  const { request_id: _id, ...rest } = answer.body as ProblemBody;
  return [answer.status, JSON.parse(JSON.stringify(rest).replaceAll(id, 'ID'))];
}

async function rawRequest(text: string): Promise<string> {
  const socket = connect(Number(new URL(stack.apiUrl).port), '127.0.0.1');
  const answer = new Promise<string>((resolve) => {
    let read = '';
    socket.on('data', (piece) => (read += piece.toString('latin1')));
    socket.on('error', () => resolve(read));
    socket.on('close', () => resolve(read));
  });
  socket.write(text);
  return withTimeout(answer, 12_000, 'the end of a raw request').finally(() => socket.destroy());
}
