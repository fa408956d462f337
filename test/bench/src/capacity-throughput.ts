/**
 * Reservations per second: one round trip each, requests and tokens booked together, in a book so large that none waits.
 * The load is made by a process of its own, as workers would. Prints the figure last.
 *
 *     node test/bench/src/capacity-throughput.ts [seconds]
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedisServer } from '@millrace/infra';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createCapacityBook } from '@millrace/capacity';

const CALLERS = 128;

if (process.argv[2] === '--load') await load(process.argv[3] ?? '', Number(process.argv[4]));
else await measure(Number(process.argv[2] ?? 10));

async function measure(seconds: number): Promise<void> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const server = await startRedisServer({ dataDirectory, appendOnly: false });
  try {
    const rates = await Promise.all([startLoad(server.url, seconds), startLoad(server.url, seconds)]);
    const total = rates.reduce((sum, rate) => sum + rate, 0);
    const redis = connectRedis({ url: server.url, role: 'worker', name: 'bench', onError: () => undefined });
    const [, perCall] =
      /cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(await redis.info('commandstats')) ?? [];
    await closeRedis(redis);
    process.stdout.write(`time of one script in Redis: ${perCall} µs\n`);
    process.stdout.write(`reservations per second: ${Math.round(total)}\n`);
  } finally {
    await server.stop();
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

function startLoad(url: string, seconds: number): Promise<number> {
  const child = fork(import.meta.filename, ['--load', url, String(seconds)]);
  return new Promise((resolve, reject) => {
    child.once('message', (rate) => resolve(Number(rate)));
    child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
  });
}

async function load(url: string, seconds: number): Promise<void> {
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
