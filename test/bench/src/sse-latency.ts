/**
 * P4 without the worker: 100 streams of 100 tokens a second go from a writer through Redis and an API process to a client
 * process; the time from the append to the client is measured for each token. The same load goes through a hand-wired relay
 * (PUBLISH, one subscriber, `response.write`; no resume, no order, nothing kept) for the ratio. From the provider on:
 * stream-latency.ts.
 *
 *     npm run bench -- sse-latency [--seconds 3] [--streams 100] [--tokens-per-second 100] [--rounds 3]
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { EventPosition } from '@millrace/contracts';
import { startEmbeddedPostgres, startRedisServer } from '@millrace/infra';
import { cancelJob, ensureTenant, migrate } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createLivePublisher } from '@millrace/transport';
import type { Redis } from 'ioredis';
import { acceptBenchJobs, benchTenant, openBenchLedger } from './bench-ledger.ts';
import { reportFigures } from './report-figures.ts';
import { startStreamClient } from './start-stream-client.ts';
import type { StreamFigures } from './stream-figures.ts';

const onError = (error: unknown): void => console.error(error);
/** Monotonic, and the same in all processes of the machine. */
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** CPU time in µs that the parts have used. */
interface Cpu {
  writer: number;
  redis: number;
  api: number;
}
interface Run extends StreamFigures {
  sent: number;
  /** Per token. */
  cpu: Cpu;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    streams: { type: 'string', default: '100' },
    'tokens-per-second': { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
  },
});
const seconds = Number(values.seconds);
const streams = Number(values.streams);
const tokensPerSecond = Number(values['tokens-per-second']);
await main();

/** The ways take turns, so that what else happens on the machine hits both; the median round of each counts. */
async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const [postgres, redisServer] = await Promise.all([
    startEmbeddedPostgres({ dataDirectory: join(directory, 'postgres'), log: () => undefined }),
    startRedisServer({ dataDirectory: join(directory, 'redis'), appendOnly: true }),
  ]);
  await migrate(postgres.url);
  const database = openBenchLedger(postgres.url);
  await ensureTenant(database, benchTenant);
  const redis = connectRedis({ url: redisServer.url, role: 'producer', name: 'writer', onError });
  await once(redis, 'ready');
  const api = fork(join(import.meta.dirname, 'sse-api-process.ts'), [postgres.url, redisServer.url]);
  try {
    const [url] = (await once(api, 'message')) as [string];
    const readCpu = () => readCpuOfParts(redis, api);
    const runs: [Run[], Run[]] = [[], []];
    for (let round = 0; round < Number(values.rounds); round += 1) {
      runs[0].push(await measure(relayTokens(redis, url), readCpu));
      runs[1].push(await measure(await streamTokens(redis, database, url), readCpu));
    }
    report(medianRun(runs[0]), medianRun(runs[1]));
  } finally {
    api.disconnect();
    await Promise.all([closeRedis(redis), database.close()]);
    await Promise.all([postgres.stop(), redisServer.stop()]);
    rmSync(directory, { recursive: true, force: true });
  }
}

function report(relay: Run, millrace: Run): void {
  print('hand-wired relay', relay);
  print('millrace', millrace);
  const load = `${streams} streams × ${tokensPerSecond} tokens/s`;
  const lost = millrace.sent - millrace.received;
  const ratio = millrace.p50 / relay.p50;
  reportFigures([
    {
      what: `P4 without the worker: append → client, ${load}, p99`,
      goal: '≤ 25 ms, none lost',
      figure: `${millrace.p99.toFixed(1)} ms (relay ${relay.p99.toFixed(1)} ms), ${lost} lost`,
      reached: millrace.p99 <= 25 && lost === 0,
    },
    {
      what: `P4 without the worker: append → client, ${load}, p50`,
      goal: '≤ 2 ms',
      figure: `${millrace.p50.toFixed(2)} ms (relay ${relay.p50.toFixed(2)} ms)`,
      reached: millrace.p50 <= 2,
    },
    {
      what: `P4 without the worker: p50 ÷ that of a hand-wired relay, which keeps nothing`,
      goal: '',
      figure: ratio.toFixed(2),
      reached: null,
    },
  ]);
}

/** A way for tokens to get to clients. */
interface Way {
  urls: string[];
  append: (stream: number, token: string) => Promise<unknown>;
  end: () => Promise<unknown>;
}

function relayTokens(redis: Redis, apiUrl: string): Way {
  const channels = Array.from({ length: streams }, (_, stream) => `relay:${stream}`);
  return {
    urls: channels.map((_, stream) => `${apiUrl}/relay/${stream}`),
    append: (stream, token) => redis.publish(channels[stream]!, token),
    end: () => Promise.all(channels.map((channel) => redis.publish(channel, 'end'))),
  };
}

async function streamTokens(redis: Redis, database: Database, apiUrl: string): Promise<Way> {
  const jobIds = await acceptBenchJobs(database, streams);
  const publisher = createLivePublisher({ redis, names: keyNames('bench'), onError });
  const positions: EventPosition[] = jobIds.map(() => ({ sequence: 1, delta: 0 }));
  return {
    urls: jobIds.map((id) => `${apiUrl}/v1/jobs/${id}/events`),
    async append(stream, text) {
      const delta = { step: 'call', attempt: 1, text };
      positions[stream] = await publisher.appendDelta(jobIds[stream]!, positions[stream]!, delta);
    },
    async end() {
      for (const id of jobIds) {
        const cancelled = await cancelJob(database, benchTenant, id);
        await publisher.publishEvents(cancelled?.finished?.events ?? []);
      }
    },
  };
}

async function readCpuOfParts(redis: Redis, api: ChildProcess): Promise<Cpu> {
  const { user, system } = process.cpuUsage();
  const info = await redis.info('cpu');
  const ofRedis = [...info.matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)].map(([, text]) => Number(text));
  api.send('cpu');
  const [apiCpu] = (await once(api, 'message')) as [number];
  return { writer: user + system, redis: ofRedis.reduce((sum, each) => sum + each, 0) * 1e6, api: apiCpu };
}

/** The round with the middle p50; tokens that any round has lost count. */
function medianRun(runs: readonly Run[]): Run {
  const sorted = [...runs].sort((a, b) => a.p50 - b.p50);
  const middle = sorted[Math.floor(sorted.length / 2)]!;
  const sum = (key: 'sent' | 'received'): number => runs.reduce((total, run) => total + run[key], 0);
  return { ...middle, sent: sum('sent'), received: sum('received') };
}

/** Lets a client process read all streams while tokens are appended at a steady pace, each with the time of its append. */
async function measure({ urls, append, end }: Way, readCpu: () => Promise<Cpu>): Promise<Run> {
  const client = startStreamClient({ urls, headers: {}, clock: 'monotonic' });
  await client.ready;
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
  return {
    ...(await client.figures),
    sent: total,
    cpu: { writer: cpuOf('writer'), redis: cpuOf('redis'), api: cpuOf('api') },
  };
}

function print(name: string, { sent, received, p50, p99, most, cpu }: Run): void {
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  const lost = `${sent - received} of ${sent} lost`;
  console.log(`${name}: p50 ${ms(p50)}, p99 ${ms(p99)}, longest ${ms(most)}; ${lost}`);
  const parts = Object.entries(cpu).map(([part, used]) => `${part} ${(used as number).toFixed(1)} µs`);
  console.log(`  CPU per token: ${parts.join(', ')}`);
}
