import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createId,
  listSchema,
  problemSchema,
  webhookDeliverySchema,
  webhookEndpointSchema,
} from '@millrace/contracts';
import type { WebhookEndpointObject } from '@millrace/contracts';
import {
  acceptJobs,
  cancelJob,
  claimDelivery,
  ensureTenant,
  migrate,
  openDatabase,
  recordTry,
} from '@millrace/ledger';
import type { Database, TryVerdict } from '@millrace/ledger';
import { createLogger } from '@millrace/telemetry';
import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import express from 'express';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { jsonBody } from '../http/json-body.ts';
import { answerProblems } from '../http/problem-answer.ts';
import { webhookRoutes } from './routes.ts';

let created: TestDatabase;
let database: Database;
let server: Server;
let base: string;
let enqueued: [string, number, number][] = [];
let queueIsDown = false;
let tenantNumber = 0;
let tenantId: string;

beforeAll(async () => {
  created = await createTestDatabase({ migrate });
  database = openDatabase({
    url: created.url,
    maxConnections: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'webhook route tests',
  });
  const log = createLogger({ app: 'test', level: 'silent' });
  const app = express();
  app.use((request, response, next) => {
    const auth = { tenantId: request.headers['x-tenant'], keyId: 'k', scopes: ['jobs'] };
    Object.assign(response.locals, { requestId: 'req_1', event: {}, auth });
    next();
  });
  app.use(jsonBody({ maxBytes: 100_000 }));
  app.use(
    webhookRoutes({
      database,
      listing: database,
      listedHosts: ['127.0.0.1:9000'],
      enqueueDelivery: async (...wake) => {
        if (queueIsDown) throw new Error('the queue is down');
        enqueued.push(wake);
      },
      log,
    }),
  );
  app.use(answerProblems(log));
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await database.close();
  await created.drop();
});

beforeEach(async () => {
  enqueued = [];
  queueIsDown = false;
  tenantId = `tenant-${(tenantNumber += 1)}`;
  await ensureTenant(database, tenantId);
});

interface Called {
  status: number;
  location: string | null;
  retryAfter: string | null;
  body: unknown;
}

async function call(method: string, path: string, body?: unknown, tenant = tenantId): Promise<Called> {
  const response = await fetch(base + path, {
    method,
    headers: { 'x-tenant': tenant, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    location: response.headers.get('location'),
    retryAfter: response.headers.get('retry-after'),
    body: text === '' ? null : (JSON.parse(text) as unknown),
  };
}

async function addEndpoint(tenant = tenantId): Promise<WebhookEndpointObject> {
  const { status, body } = await call(
    'POST',
    '/v1/webhook_endpoints',
    { url: 'https://example.com/hooks', events: ['job.cancelled'] },
    tenant,
  );
  expect(status).toBe(201);
  return webhookEndpointSchema.parse(body);
}

/** Submits a job and cancels it, so that there is something to deliver. */
async function endJob(): Promise<{ jobId: string; deliveryId: string }> {
  const jobId = createId('job');
  await acceptJobs(database, [
    {
      id: jobId,
      tenantId,
      apiKeyId: 'k',
      idempotencyKey: jobId,
      fingerprint: createHash('sha256').update(jobId).digest(),
      type: 'call',
      priority: 'standard',
      lane: 'auto',
      content: { plan: { type: 'call', model: 'openai/any', prompt: 'p' }, input: undefined, params: {} },
      metadata: {},
      webhook: null,
      requestId: 'req_1',
      traceparent: null,
      deadlineAt: null,
      maxCostMicroUsd: null,
    },
  ]);
  const cancelled = await cancelJob(database, tenantId, jobId);
  return { jobId, deliveryId: cancelled!.finished!.deliveryIds[0]! };
}

async function tryOnce(deliveryId: string, verdict: TryVerdict): Promise<void> {
  const claimed = await claimDelivery(database, deliveryId, 30_000);
  const { fence, endpointId } = claimed!;
  const httpStatus = verdict.kind === 'delivered' ? 200 : 500;
  await recordTry(
    database,
    { deliveryId, fence, endpointId, durationMs: 12, httpStatus, error: null, verdict },
    1_000,
  );
}

const problemOf = ({ status, body }: Called) => {
  const problem = problemSchema.parse(body);
  expect(problem.status).toBe(status);
  return problem;
};

describe('webhook endpoints', () => {
  it('are made with a secret that is shown this once', async () => {
    const { status, location, body } = await call('POST', '/v1/webhook_endpoints', {
      url: 'https://example.com/hooks',
    });
    expect(status).toBe(201);
    const endpoint = webhookEndpointSchema.parse(body);
    expect(location).toBe(`/v1/webhook_endpoints/${endpoint.id}`);
    expect(endpoint.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(endpoint).toMatchObject({ enabled: true, disabled_reason: null, consecutive_failures: 0 });
    expect(endpoint.events).toContain('job.completed');

    const found = webhookEndpointSchema.parse((await call('GET', location!)).body);
    const { secret: _secret, ...shown } = endpoint;
    expect(found).toEqual(shown);
  });

  it.each([
    ['https://127.1/', /public/],
    ['https://2130706433/', /public/],
    ['https://[::ffff:127.0.0.1]/', /public/],
    ['http://example.com/', /https/],
    ['https://example.com:22/', /port/],
    ['https://me:pw@example.com/', /user/],
    ['http://127.0.0.1:9001/', /https/],
  ])('are refused for %s, on creation and on change', async (url, reason) => {
    const made = problemOf(await call('POST', '/v1/webhook_endpoints', { url }));
    expect(made).toMatchObject({ code: 'webhook_url_refused', errors: [{ path: 'url' }] });
    expect(made.detail).toMatch(reason);
    const { id } = await addEndpoint();
    const changed = problemOf(await call('PATCH', `/v1/webhook_endpoints/${id}`, { url }));
    expect(changed.code).toBe('webhook_url_refused');
  });

  it('may point to a host that the deployment lists', async () => {
    expect((await call('POST', '/v1/webhook_endpoints', { url: 'http://127.0.0.1:9000/' })).status).toBe(201);
  });

  it.each([
    [{}, 'url'],
    [{ url: 'https://example.com', evnets: [] }, 'evnets'],
    [{ url: 'https://example.com', events: [] }, 'events'],
    [{ url: 'https://example.com', events: ['job.done'] }, 'events[0]'],
    [{ url: 7 }, 'url'],
  ])('are refused with the path of what is wrong: %j', async (body, path) => {
    const problem = problemOf(await call('POST', '/v1/webhook_endpoints', body));
    expect(problem.code).toBe('validation_failed');
    expect(problem.errors?.map((each) => each.path)).toContain(path);
  });

  it('change what the patch names and keep the rest', async () => {
    const { id, secret: _secret, ...before } = await addEndpoint();
    const patched = await call('PATCH', `/v1/webhook_endpoints/${id}`, {
      description: 'new',
      events: ['job.failed'],
    });
    expect(patched.body).toEqual({ ...before, id, description: 'new', events: ['job.failed'] });
    expect((await call('PATCH', `/v1/webhook_endpoints/${id}`, { enabled: false })).body).toMatchObject({
      enabled: false,
      disabled_reason: null,
      description: 'new',
    });
    expect((await call('PATCH', `/v1/webhook_endpoints/${id}`, { secret: 'x' })).status).toBe(422);
  });

  it('get a new secret on rotation and say until when the old one signs', async () => {
    const endpoint = await addEndpoint();
    const { status, body } = await call('POST', `/v1/webhook_endpoints/${endpoint.id}/rotate_secret`);
    expect(status).toBe(200);
    const rotated = webhookEndpointSchema.parse(body);
    expect(rotated.secret).toMatch(/^whsec_/);
    expect(rotated.secret).not.toBe(endpoint.secret);
    const hours = (Date.parse(rotated.previous_secret_expires_at!) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(23.9);
    expect(hours).toBeLessThan(24.1);
  });

  it('are rotated five times a day; then the answer says when the next time is', async () => {
    const { id } = await addEndpoint();
    const rotate = () => call('POST', `/v1/webhook_endpoints/${id}/rotate_secret`);
    for (let rotation = 1; rotation <= 5; rotation += 1) expect((await rotate()).status).toBe(200);
    const refused = await rotate();
    expect(problemOf(refused)).toMatchObject({ status: 429, code: 'rate_limited' });
    expect(Number(refused.retryAfter)).toBeGreaterThan(23 * 3_600);
  });

  it('are refused with the cap when the tenant has 100', async () => {
    const { id } = await addEndpoint();
    await database.query(
      `INSERT INTO webhook_endpoints (id, tenant_id, url, events, secret)
       SELECT 'whk_' || $1 || n, $1, 'https://example.com/', '{job.failed}', '' FROM generate_series(1, 99) n`,
      [tenantId],
    );
    const add = () => call('POST', '/v1/webhook_endpoints', { url: 'https://example.com/hooks' });
    const problem = problemOf(await add());
    expect([problem.status, problem.code, problem.detail]).toEqual([
      422,
      'validation_failed',
      expect.stringContaining('100 webhook endpoints'),
    ]);
    await call('DELETE', `/v1/webhook_endpoints/${id}`);
    expect((await add()).status).toBe(201);
  });

  it('are refused with one error however many events they name', async () => {
    const body = { url: 'https://example.com/hooks', events: Array.from({ length: 10_000 }, () => 'x') };
    for (const [method, path] of [
      ['POST', ''],
      ['PATCH', `/${(await addEndpoint()).id}`],
    ] as const) {
      const problem = problemOf(await call(method, `/v1/webhook_endpoints${path}`, body));
      expect(problem.errors).toEqual([{ path: 'events', message: expect.stringContaining('9') as string }]);
    }
  });

  it('are gone after deletion, and their pending deliveries are cancelled', async () => {
    const { id } = await addEndpoint();
    const { deliveryId } = await endJob();
    expect(await call('DELETE', `/v1/webhook_endpoints/${id}`)).toMatchObject({ status: 204, body: null });
    for (const [method, path, body] of [
      ['GET', ''],
      ['DELETE', ''],
      ['PATCH', '', {}],
      ['POST', '/rotate_secret'],
    ] as const)
      expect(problemOf(await call(method, `/v1/webhook_endpoints/${id}${path}`, body)).code).toBe(
        'not_found',
      );
    expect((await call('GET', `/v1/webhook_deliveries/${deliveryId}`)).body).toMatchObject({
      status: 'cancelled',
    });
  });

  it('are listed newest first, page by page in both directions', async () => {
    const ids: string[] = [];
    for (let each = 0; each < 5; each += 1) ids.unshift((await addEndpoint()).id);
    const page = async (query: string) =>
      listSchema(webhookEndpointSchema).parse((await call('GET', `/v1/webhook_endpoints?${query}`)).body);
    const first = await page('limit=2');
    expect(first).toMatchObject({ has_more: true, first_id: ids[0], last_id: ids[1] });
    expect((await page(`limit=2&after=${ids[1]}`)).data.map(({ id }) => id)).toEqual([ids[2], ids[3]]);
    expect(await page(`limit=2&after=${ids[3]}`)).toMatchObject({ has_more: false, first_id: ids[4] });
    expect(await page(`limit=2&before=${ids[3]}`)).toMatchObject({
      has_more: true,
      first_id: ids[1],
      last_id: ids[2],
    });
    expect(JSON.stringify(first)).not.toContain('whsec_');
  });

  it.each(['limit=0', 'limit=101', 'limit=x', 'foo=1', 'after=a&before=b'])(
    'refuse the query %s',
    async (query) => {
      expect((await call('GET', `/v1/webhook_endpoints?${query}`)).status).toBe(422);
    },
  );
});

describe('webhook deliveries', () => {
  it('are listed by job and by status with every try', async () => {
    await addEndpoint();
    const [one, two] = [await endJob(), await endJob()];
    await tryOnce(one.deliveryId, { kind: 'retry', delayMs: 5_000 });
    const list = async (query: string) =>
      listSchema(webhookDeliverySchema).parse((await call('GET', `/v1/webhook_deliveries?${query}`)).body)
        .data;
    expect((await list('')).map(({ id }) => id)).toEqual([two.deliveryId, one.deliveryId]);
    const [delivery] = await list(`job_id=${one.jobId}&status=pending`);
    expect(delivery).toMatchObject({
      id: one.deliveryId,
      event_type: 'job.cancelled',
      status: 'pending',
      finished_at: null,
      tries: [{ number: 1, duration_ms: 12, http_status: 500, error: null }],
    });
    expect(Date.parse(delivery!.next_try_at!)).toBeGreaterThan(Date.now());
    expect(await list('status=delivered')).toEqual([]);
    expect((await call('GET', '/v1/webhook_deliveries?status=lost')).status).toBe(422);
  });

  it('are sent again on request when they have ended', async () => {
    await addEndpoint();
    const { deliveryId } = await endJob();
    const path = `/v1/webhook_deliveries/${deliveryId}`;
    expect(problemOf(await call('POST', `${path}/redeliver`))).toMatchObject({
      status: 409,
      code: 'delivery_not_final',
    });
    await tryOnce(deliveryId, { kind: 'delivered' });
    const before = webhookDeliverySchema.parse((await call('GET', path)).body);
    expect(before.status).toBe('delivered');

    const { status, body } = await call('POST', `${path}/redeliver`);
    expect(status).toBe(202);
    expect(body).toMatchObject({
      id: deliveryId,
      event_id: before.event_id,
      status: 'pending',
      tries: before.tries,
    });
    expect(enqueued).toEqual([[deliveryId, 2, 0]]);
  });

  it('are accepted for sending while the queue is down: the ledger wakes them', async () => {
    await addEndpoint();
    const { deliveryId } = await endJob();
    await tryOnce(deliveryId, { kind: 'exhausted' });
    queueIsDown = true;
    expect((await call('POST', `/v1/webhook_deliveries/${deliveryId}/redeliver`)).status).toBe(202);
    const [row] = await database.query<{ wakes: boolean }>(
      `SELECT wake_at < now() + interval '11 seconds' AS wakes FROM webhook_deliveries WHERE id = $1`,
      [deliveryId],
    );
    expect(row!.wakes).toBe(true);
  });

  it('are not sent again to an endpoint that is off', async () => {
    const { id } = await addEndpoint();
    const { deliveryId } = await endJob();
    await call('PATCH', `/v1/webhook_endpoints/${id}`, { enabled: false });
    const again = () => call('POST', `/v1/webhook_deliveries/${deliveryId}/redeliver`);
    expect(problemOf(await again())).toMatchObject({ status: 409, code: 'webhook_endpoint_disabled' });
    await call('PATCH', `/v1/webhook_endpoints/${id}`, { enabled: true });
    expect((await again()).status).toBe(202);
  });
});

describe('another tenant', () => {
  it('sees, changes and repeats nothing: every route answers as for an unknown id', async () => {
    const { id } = await addEndpoint();
    const { jobId, deliveryId } = await endJob();
    await tryOnce(deliveryId, { kind: 'delivered' });
    for (const [method, path, body] of [
      ['GET', `/v1/webhook_endpoints/${id}`],
      ['PATCH', `/v1/webhook_endpoints/${id}`, { description: 'mine' }],
      ['DELETE', `/v1/webhook_endpoints/${id}`],
      ['POST', `/v1/webhook_endpoints/${id}/rotate_secret`],
      ['GET', `/v1/webhook_deliveries/${deliveryId}`],
      ['POST', `/v1/webhook_deliveries/${deliveryId}/redeliver`],
    ] as const) {
      const foreign = problemOf(await call(method, path, body, 'stranger'));
      const unknownPath = path
        .replace(id, createId('webhookEndpoint'))
        .replace(deliveryId, createId('delivery'));
      const unknown = problemOf(await call(method, unknownPath, body, 'stranger'));
      expect(foreign).toMatchObject({ status: 404, code: 'not_found' });
      expect(unknown).toMatchObject({ status: 404, code: 'not_found' });
    }
    for (const path of [
      '/v1/webhook_endpoints',
      '/v1/webhook_deliveries',
      `/v1/webhook_deliveries?job_id=${jobId}`,
    ])
      expect((await call('GET', path, undefined, 'stranger')).body).toMatchObject({
        data: [],
        has_more: false,
      });
    expect((await call('GET', `/v1/webhook_endpoints/${id}`)).body).toMatchObject({
      description: '',
      previous_secret_expires_at: null,
    });
  });
});
