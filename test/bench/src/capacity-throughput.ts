/**
 * Reservations per second: one round trip each, requests and tokens booked together, in a book so large that none waits.
 * The load is made by two processes of its own, as workers would.
 *
 *     npm run bench -- capacity-throughput [--seconds 10]
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRedisServer } from '@millrace/infra';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createCapacityBook } from '@millrace/capacity';
import { reportFigures } from './report-figures.ts';

const CALLERS = 128;

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, load: { type: 'string' } },
});
const seconds = Number(values.seconds);
if (values.load === undefined) await measure();
else await load(values.load);

async function measure(): Promise<void> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const server = await startRedisServer({ dataDirectory, appendOnly: false });
  try {
    const rates = await Promise.all([startLoad(server.url), startLoad(server.url)]);
    const total = rates.reduce((sum, rate) => sum + rate, 0);
    const redis = connectRedis({ url: server.url, role: 'worker', name: 'bench', onError: () => undefined });
    const [, perCall] =
      /cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(await redis.info('commandstats')) ?? [];
    await closeRedis(redis);
    process.stdout.write(`time of one script in Redis: ${perCall} µs\n`);
    reportFigures([
      {
        what: 'reservations/s of the book',
        goal: '',
        figure: Math.round(total).toLocaleString('en'),
        reached: null,
      },
    ]);
  } finally {
    await server.stop();
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

function startLoad(url: string): Promise<number> {
  const child = fork(import.meta.filename, ['--load', url, '--seconds', String(seconds)]);
  return new Promise((resolve, reject) => {
    child.once('message', (rate) => resolve(Number(rate)));
    child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  });
}

async function load(url: string): Promise<void> {
  const onError = (error: unknown): void => {
    throw error;
  };
  const redis = connectRedis({ url, role: 'producer', name: 'bench', onError });
  await new Promise((resolve) => redis.once('ready', resolve));
  const domains = new Map([['pool', { requests: 1e9, tokens: 1e12 }]]);
  const book = createCapacityBook({ redis, names: keyNames('bench'), onError, domains });
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1_000;
  let reserved = 0;
  await Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (performance.now() < endsAt) {
        const reservation = await book.reserve('pool', { inputTokens: 1_000, maxOutputTokens: 500 });
        if (reservation.verdict !== 'leave') throw new Error(reservation.verdict);
        reserved += 1;
      }
    }),
  );
  process.send?.((reserved / (performance.now() - startedAt)) * 1_000);
  await closeRedis(redis);
  process.disconnect();
}
