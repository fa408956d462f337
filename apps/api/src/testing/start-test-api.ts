import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { loadConfig } from '@millrace/config';
import type { JobObject, Problem, Scope, Service } from '@millrace/contracts';
import { createApiKey, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { createTestDatabase, createTestRedis } from '@millrace/test-support';
import type { Express } from 'express';
import { createApi } from '../api.ts';

/** A job or a problem: tests expect one of the two and read its members without asking which. */
type JobOrProblem = JobObject & Omit<Problem, 'status'>;

/** An answer, its body parsed where it is JSON. */
export interface Answer<Body = JobOrProblem> {
  status: number;
  headers: Headers;
  body: Body;
  text: string;
}

/** A whole API on a free port, with a database and a corner of Redis of its own. */
export interface TestApi {
  url: string;
  database: Database;
  databaseUrl: string;
  redisUrl: string;
  prefix: string;
  /** Everything that was logged. */
  logs: () => Record<string, unknown>[];
  createKey: (tenantId: string, ...scopes: Scope[]) => Promise<string>;
  /** Sends a request with a key; a body that is no text is sent as JSON. */
  send: <Body = JobOrProblem>(
    key: string | null,
    method: string,
    path: string,
    request?: { body?: unknown; headers?: Record<string, string> },
  ) => Promise<Answer<Body>>;
  /** `POST /v1/jobs` with an idempotency key, by default a new one. */
  submit: (key: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;
  app: Express;
  services: Service[];
  stop: () => Promise<void>;
}

export const callBody = { type: 'call', route: 'cheap', prompt: 'Say hello.' };

/** Starts an API; `environment` changes its settings, `viaGate` the address at which it finds its database. */
export async function startTestApi(
  environment: Record<string, string> = {},
  viaGate: (databaseUrl: string) => string = (url) => url,
): Promise<TestApi> {
  const testDatabase = await createTestDatabase();
  const redis = createTestRedis();
  const config = loadConfig(
    {
      DATABASE_URL: viaGate(testDatabase.url),
      REDIS_URL: redis.url,
      MILLRACE_KEY_PREFIX: redis.prefix,
      MILLRACE_PORT: '0',
      MILLRACE_SHUTDOWN_GRACE: '5s',
      ...environment,
    },
    '/nowhere',
  );
  const destination = new PassThrough();
  const lines: Record<string, unknown>[] = [];
  destination.setEncoding('utf8');
  destination.on('data', (chunk: string) => {
    for (const line of chunk.split('\n')) {
      if (line !== '') lines.push(JSON.parse(line) as Record<string, unknown>);
    }
  });
  const log = createLogger({ app: 'api', level: 'debug', destination });
  const { app, services } = createApi(config, log, createMetrics('api'));
  for (const service of services) await service.start();
  const listening = (): Record<string, unknown> | undefined =>
    lines.find((line) => line['msg'] === 'listening');
  while (!listening()) await once(destination, 'data');
  const url = String(listening()?.['url']);

  const database = openDatabase({
    url: testDatabase.url,
    maxConnections: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'api test',
  });
  const send: TestApi['send'] = async (key, method, path, request = {}) => {
    const { body, headers } = request;
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson ? JSON.parse(text) : text) as never,
    };
  };
  let submissions = 0;

  return {
    url,
    database,
    databaseUrl: testDatabase.url,
    redisUrl: redis.url,
    prefix: redis.prefix,
    logs: () => lines,
    createKey: async (tenantId, ...scopes) =>
      (await createApiKey(database, { tenantId, name: 'test', scopes })).text,
    send,
    submit: (key, body, headers = {}) => {
      submissions += 1;
      return send(key, 'POST', '/v1/jobs', {
        body,
        headers: { 'idempotency-key': `submission ${submissions}`, ...headers },
      });
    },
    app,
    services,
    async stop() {
      for (const service of [...services].reverse()) await service.stop();
      await database.close();
      await redis.flush();
      await testDatabase.drop();
    },
  };
}
