/**
 * Goal P4: what streaming adds to a token. 100 streams of 100 tokens a second go from a writer through Redis and an API
 * process to a client process; the time from the append to the client is measured for each token. The same load goes
 * through a hand-wired relay (PUBLISH, one subscriber, `response.write`; no resume, no order, nothing kept) for the ratio.
 *
 * node test/bench/src/sse-latency.ts [seconds] [streams] [tokens per second and stream] [rounds]
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createStreamEvents } from '@millrace/api/src/results/stream-events.ts';
import { createId } from '@millrace/contracts';
import type { EventPosition } from '@millrace/contracts';
import { startEmbeddedPostgres, startRedisServer } from '@millrace/infra';
import { acceptJobs, cancelJob, ensureTenant, migrate, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { createLiveFeed, createLivePublisher } from '@millrace/transport';
import express from 'express';
import type { Response } from 'express';
import type { Redis } from 'ioredis';

const tenantId = 'bench';
const names = keyNames('bench');
const onError = (error: unknown): void => console.error(error);
/** Monotonic, and the same in all processes of the machine. */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

interface Servers {
  databaseUrl: string;
  redisUrl: string;
}
interface Load {
  seconds: number;
  streams: number;
  tokensPerSecond: number;
}
interface Figures {
  received: number;
  p50: number;
  p99: number;
  most: number;
}
/** CPU time in µs that the parts have used. */
interface Cpu {
  writer: number;
  redis: number;
  api: number;
}
interface Run extends Figures {
  sent: number;
  /** Per token. */
  cpu: Cpu;
}

const [role = 'main', ...rest] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
if (role === 'api') await runApi(JSON.parse(rest[0]!) as Servers);
else if (role === 'client') runClient(rest);
else await runMain(process.argv.slice(2).map(Number));

/** The ways take turns, so that what else happens on the machine hits both; the median round of each counts. */
async function runMain([
  seconds = 3,
  streams = 100,
  tokensPerSecond = 100,
  rounds = 3,
]: number[]): Promise<void> {
  const load = { seconds, streams, tokensPerSecond };
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const [postgres, redisServer] = await Promise.all([
    startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres'), log: () => undefined }),
    startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true }),
  ]);
  const servers = { databaseUrl: postgres.url, redisUrl: redisServer.url };
  await migrate(servers.databaseUrl);
  const database = openLedger(servers);
  await ensureTenant(database, tenantId);
  const redis = connectRedis({ url: servers.redisUrl, role: 'producer', name: 'writer', onError });
  await once(redis, 'ready');
  const api = startRole('api', [JSON.stringify(servers)]);
  try {
    const [url] = (await once(api, 'message')) as [string];
    const readCpu = () => readCpuOfParts(redis, api);
    const runs: [Run[], Run[]] = [[], []];
    for (let round = 0; round < rounds; round += 1) {
      runs[0].push(await measure(relayTokens(redis, url, streams), load, readCpu));
      runs[1].push(await measure(await streamTokens(redis, database, url, streams), load, readCpu));
    }
    const [relay, millrace] = [medianRun(runs[0]), medianRun(runs[1])];
    console.log(
      `${streams} streams × ${tokensPerSecond} tokens/s, append → client, ${rounds} × ${seconds} s`,
    );
    print('hand-wired relay', relay);
    print('millrace', millrace);
    console.log(`ratio of the medians (millrace ÷ relay): ${(millrace.p50 / relay.p50).toFixed(2)}`);
  } finally {
    api.disconnect();
    await Promise.all([closeRedis(redis), database.close()]);
    await Promise.all([postgres.stop(), redisServer.stop()]);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A way for tokens to get to clients. */
interface Way {
  urls: string[];
  append: (stream: number, token: string) => Promise<unknown>;
  end: () => Promise<unknown>;
}

function relayTokens(redis: Redis, apiUrl: string, streams: number): Way {
  const channels = Array.from({ length: streams }, (_, stream) => `relay:${stream}`);
  return {
    urls: channels.map((_, stream) => `${apiUrl}/relay/${stream}`),
    append: (stream, token) => redis.publish(channels[stream]!, token),
    end: () => Promise.all(channels.map((channel) => redis.publish(channel, 'end'))),
  };
}

async function streamTokens(redis: Redis, database: Database, apiUrl: string, streams: number): Promise<Way> {
  const jobIds = await acceptBenchJobs(database, streams);
  const publisher = createLivePublisher({ redis, names, onError });
  const positions: EventPosition[] = jobIds.map(() => ({ sequence: 1, delta: 0 }));
  return {
    urls: jobIds.map((id) => `${apiUrl}/v1/jobs/${id}/events`),
    async append(stream, text) {
      const delta = { step: 'call', attempt: 1, text };
      positions[stream] = await publisher.appendDelta(jobIds[stream]!, positions[stream]!, delta);
    },
    async end() {
      for (const id of jobIds) {
        const cancelled = await cancelJob(database, tenantId, id);
        await publisher.publishEvents(cancelled?.finished?.events ?? []);
      }
    },
  };
}

async function readCpuOfParts(redis: Redis, api: ChildProcess): Promise<Cpu> {
  const { user, system } = process.cpuUsage();
  const info = await redis.info('cpu');
  const seconds = [...info.matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)].map(([, text]) => Number(text));
  api.send('cpu');
  const [apiCpu] = (await once(api, 'message')) as [number];
  return { writer: user + system, redis: seconds.reduce((sum, each) => sum + each, 0) * 1e6, api: apiCpu };
}

/** The round with the middle p50; tokens that any round has lost count. */
function medianRun(runs: readonly Run[]): Run {
  const sorted = [...runs].sort((a, b) => a.p50 - b.p50);
  const middle = sorted[Math.floor(sorted.length / 2)]!;
  const sum = (key: 'sent' | 'received'): number => runs.reduce((total, run) => total + run[key], 0);
  return { ...middle, sent: sum('sent'), received: sum('received') };
}

/** Lets a client process read all streams while tokens are appended at a steady pace, each with the time of its append. */
async function measure(
  { urls, append, end }: Way,
  { seconds, streams, tokensPerSecond }: Load,
  readCpu: () => Promise<Cpu>,
): Promise<Run> {
  const client = startRole('client', urls);
  await once(client, 'message');
  const done = once(client, 'message') as Promise<[Figures]>;
  const total = seconds * streams * tokensPerSecond;
  const cpuBefore = await readCpu();
  const startedAt = nowMs();
  const queues = urls.map(() => Promise.resolve<unknown>(undefined));
  for (let sent = 0; sent < total;) {
    const due = Math.min(total, ((nowMs() - startedAt) / 1_000) * streams * tokensPerSecond);
    for (; sent < due; sent += 1) {
      const stream = sent % streams;
      const token = `<${nowMs()}> token`;
      // As a worker does: one append of a stream at a time.
      queues[stream] = queues[stream]!.then(() => append(stream, token));
    }
    await delay(1);
  }
  await Promise.all(queues);
  await delay(500);
  const cpuAfter = await readCpu();
  const cpuOf = (name: keyof Cpu): number => (cpuAfter[name] - cpuBefore[name]) / total;
  await end();
  const [figures] = await done;
  client.disconnect();
  return {
    ...figures,
    sent: total,
    cpu: { writer: cpuOf('writer'), redis: cpuOf('redis'), api: cpuOf('api') },
  };
}

async function acceptBenchJobs(database: Database, count: number): Promise<string[]> {
  const jobs = Array.from({ length: count }, () => ({
    id: createId('job'),
    tenantId,
    apiKeyId: 'bench',
    idempotencyKey: null,
    fingerprint: new Uint8Array(32),
    type: 'call',
    priority: 'standard' as const,
    lane: 'realtime' as const,
    content: { plan: {}, input: undefined, params: {} },
    metadata: {},
    webhook: null,
    requestId: 'bench',
    traceparent: null,
    deadlineAt: null,
    maxCostMicroUsd: null,
  }));
  await acceptJobs(database, jobs);
  return jobs.map(({ id }) => id);
}

async function runApi(servers: Servers): Promise<void> {
  const connect = (role: 'subscriber' | 'producer', name: string) =>
    connectRedis({ url: servers.redisUrl, role, name, onError });
  const feed = createLiveFeed({
    subscriber: connect('subscriber', 'feed'),
    reader: connect('producer', 'reader'),
    names,
    onError,
  });
  await feed.start();
  const streamEvents = createStreamEvents({
    database: openLedger(servers),
    feed,
    log: createLogger({ app: 'api', level: 'warn' }),
    metrics: createMetrics('api'),
  });
  const app = express();
  app.get('/v1/jobs/:id/events', (request, response) => {
    response.locals['auth'] = { tenantId };
    return streamEvents(request, response);
  });
  const relaySubscriber = connect('subscriber', 'relay');
  const relayed = new Map<string, Response>();
  relaySubscriber.on('message', (channel, text) => {
    if (text === 'end') relayed.get(channel)?.end();
    else relayed.get(channel)?.write(`data: ${text}\n\n`);
  });
  app.get('/relay/:stream', async (request, response) => {
    const channel = `relay:${request.params.stream}`;
    relayed.set(channel, response);
    await relaySubscriber.subscribe(channel);
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': ready\n\n');
  });
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  const server = createServer(app).listen(0, '127.0.0.1', () => {
    process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
}

/** Reads all streams to their ends and reports how long the tokens took. */
function runClient(urls: readonly string[]): void {
  const latencies: number[] = [];
  let [waiting, open] = [urls.length, urls.length];
  for (const url of urls) {
    get(url, { agent: false }, (response) => {
      let isFirst = true;
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        const at = nowMs();
        for (const [, sentAt] of text.matchAll(/<([\d.]+)> token/g)) latencies.push(at - Number(sentAt));
        if (isFirst && --waiting === 0) process.send?.('ready');
        isFirst = false;
      });
      response.on('end', () => {
        if (--open === 0) process.send?.(toFigures(latencies));
      });
    });
  }
}

function toFigures(latencies: number[]): Figures {
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { received: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? NaN };
}

function print(name: string, { sent, received, p50, p99, most, cpu }: Run): void {
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  const lost = `${sent - received} of ${sent} lost`;
  console.log(`${name}: p50 ${ms(p50)}, p99 ${ms(p99)}, longest ${ms(most)}; ${lost}`);
  const parts = Object.entries(cpu).map(([part, used]) => `${part} ${(used as number).toFixed(1)} µs`);
  console.log(`  CPU per token: ${parts.join(', ')}`);
}

function openLedger({ databaseUrl }: Servers): Database {
  return openDatabase({
    url: databaseUrl,
    maxConnections: 10,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'bench',
  });
}

/** A process of its own that ends when this one does. */
function startRole(name: 'api' | 'client', parameters: readonly string[]): ChildProcess {
  const child = fork(import.meta.filename, [name, ...parameters]);
  child.on('error', onError);
  return child;
}
