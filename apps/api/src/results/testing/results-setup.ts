import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ProblemError } from '@millrace/contracts';
import type { EventPosition } from '@millrace/contracts';
import { ensureTenant, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import type { RedisRole } from '@millrace/redis';
import { createLogger, createMetrics } from '@millrace/telemetry';
import type { Metrics } from '@millrace/telemetry';
import { createTestDatabase } from '@millrace/test-support';
import { createLiveFeed, createLivePublisher } from '@millrace/transport';
import type { LiveFeed, LivePublisher } from '@millrace/transport';
import express from 'express';
import type { NextFunction, Request, Response } from 'express';
import type { Redis } from 'ioredis';
import { followJob } from '../follow-job.ts';
import type { FollowedEvent } from '../follow-job.ts';
import { createStreamEvents } from '../stream-events.ts';
import type { StreamEvents, StreamEventsOptions } from '../stream-events.ts';

export const tenantId = 'acme';
export const otherTenantId = 'other';

/** A ledger and a feed as an API process has them, and two writers as two workers have them. */
export interface ResultsSetup {
  database: Database;
  feed: LiveFeed;
  metrics: Metrics;
  subscriber: Redis;
  publishers: [LivePublisher, LivePublisher];
  /** A connection for what only a test does. */
  redis: Redis;
  follow(
    jobId: string,
    signal: AbortSignal,
    after?: EventPosition,
  ): AsyncGenerator<FollowedEvent, void, undefined>;
  /** Serves event streams on a port of its own; the header `tenant` says who asks. */
  serve(options?: Partial<StreamEventsOptions>): Promise<Served>;
  stop(): Promise<void>;
}

export interface Served {
  url: string;
  streamEvents: StreamEvents;
  /** Bytes that were written to clients who have not taken them, in this process's memory. */
  bufferedBytes(): number;
  /** Ends all answers, as a server that stops does. */
  endAnswers(): void;
}

export async function setUpResults(request: { redisUrl: string; prefix: string }): Promise<ResultsSetup> {
  const testDatabase = await createTestDatabase();
  const database = openDatabase({
    url: testDatabase.url,
    maxConnections: 10,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'results-test',
  });
  await ensureTenant(database, tenantId);
  await ensureTenant(database, otherTenantId);

  const names = keyNames(request.prefix);
  // Tests take Redis away on purpose.
  const onError = (): void => undefined;
  const connections: Redis[] = [];
  const connect = (role: RedisRole, purpose: string): Redis => {
    const name = `${request.prefix}-${purpose}`;
    const redis = connectRedis({ url: request.redisUrl, role, name, onError });
    connections.push(redis);
    return redis;
  };
  const findLastSequence = async (jobId: string): Promise<number> => {
    const [row] = await database.query<{ last: number }>(
      'SELECT last_sequence AS last FROM jobs WHERE id = $1',
      [jobId],
    );
    return row?.last ?? 0;
  };
  const subscriber = connect('subscriber', 'subscriber');
  const feed = createLiveFeed({ subscriber, reader: connect('producer', 'reader'), names, onError });
  const createPublisher = (): LivePublisher =>
    createLivePublisher({ redis: connect('producer', 'publisher'), names, onError, findLastSequence });
  const publishers: [LivePublisher, LivePublisher] = [createPublisher(), createPublisher()];
  const redis = connect('worker', 'test');
  await feed.start();
  await Promise.all(connections.map(untilReady));

  const metrics = createMetrics('api');
  const log = createLogger({ app: 'api', level: 'silent' });
  const closers: (() => Promise<void>)[] = [];
  return {
    database,
    feed,
    metrics,
    subscriber,
    publishers,
    redis,
    follow: (jobId, signal, after = { sequence: 0, delta: 0 }) =>
      followJob({ database, feed, tenantId, jobId, after, signal }),
    async serve(options) {
      const streamEvents = createStreamEvents({ database, feed, log, metrics, ...options });
      const served = await serveHandler(streamEvents);
      closers.push(async () => {
        await streamEvents.stop();
        await served.close();
      });
      return { ...served, streamEvents };
    },
    async stop() {
      for (const close of closers) await close();
      await feed.stop();
      await Promise.all(connections.map(closeRedis));
      await database.close();
      await testDatabase.drop();
    },
  };
}

async function untilReady(redis: Redis): Promise<void> {
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
}

async function serveHandler(handler: StreamEvents): Promise<{
  url: string;
  bufferedBytes: () => number;
  endAnswers: () => void;
  close: () => Promise<void>;
}> {
  const app = express();
  const responses = new Set<Response>();
  app.use((request: Request, response: Response, next: NextFunction) => {
    response.locals['auth'] = { tenantId: request.headers['tenant'] ?? tenantId };
    responses.add(response);
    next();
  });
  app.get('/v1/jobs/:id/events', (request, response) => handler(request, response));
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    if (!(error instanceof ProblemError)) throw error;
    response.status(error.status).json({ code: error.code, errors: error.errors });
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    bufferedBytes: () => [...responses].reduce((sum, { writableLength }) => sum + writableLength, 0),
    endAnswers: () => {
      for (const response of responses) response.end();
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
