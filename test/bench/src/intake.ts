/**
 * P1: accepted jobs per second, beside a hand-wired intake (Express 5, zod, SET NX, BullMQ add) that is not durable, and the
 * same with one plain INSERT per request before it. 50 connections, a body of 2 kB, a key of its own per request.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import autocannon from 'autocannon';
import { readLines, spawnGuarded } from '@millrace/infra';
import { headersOf, withStack } from './bench-stack.ts';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 6);
const ROUNDS = 2;
const body = JSON.stringify({
  type: 'call',
  route: 'cheap',
  prompt: 'x'.repeat(1_900),
  metadata: { user_id: 'u_1' },
});

interface Measured {
  perSecond: number;
  p99: number;
  failed: number;
}

async function load(url: string, headers: Record<string, string>): Promise<Measured> {
  const result = await autocannon({
    url,
    connections: 50,
    duration: SECONDS,
    requests: [
      {
        method: 'POST',
        path: '/v1/jobs',
        headers,
        body,
        setupRequest: (request) => ({
          ...request,
          headers: { ...request.headers, 'idempotency-key': randomUUID() },
        }),
      },
    ],
  });
  return {
    perSecond: result['2xx'] / result.duration,
    p99: result.latency.p99,
    failed: result.non2xx + result.errors,
  };
}

async function startPeer(mode: string, environment: Record<string, string>) {
  const peer = await spawnGuarded({
    command: process.execPath,
    arguments: [new URL('./peers/hand-wired-intake.ts', import.meta.url).pathname, mode],
    environment: { PATH: process.env.PATH ?? '', ...environment },
    workingDirectory: process.cwd(),
    orphanSignal: 'KILL',
    orphanGraceMs: 0,
  });
  const lines: string[] = [];
  readLines(peer.stdout, (line) => lines.push(line));
  readLines(peer.stderr, (line) => console.error(`peer ${line}`));
  while (!lines[0]) await once(peer.stdout, 'data');
  return { url: lines[0], stop: () => process.kill(peer.pid, 'SIGKILL') };
}

const results = await withStack(
  { workers: 1, environment: { MILLRACE_WORKER_CONCURRENCY: '1' } },
  async (stack) => {
    // Nobody works on the jobs: the intake alone is measured, on both sides.
    const environment = { DATABASE_URL: stack.databaseUrl, REDIS_URL: stack.redisUrl };
    for (const worker of stack.processes.filter((each) => each.name.startsWith('worker')))
      await worker.stop(5_000);
    const handWired = await startPeer('redis', environment);
    const withInsert = await startPeer('insert', environment);
    const sides = { millrace: stack.apiUrl, handWired: handWired.url, withInsert: withInsert.url };
    const measured: Record<keyof typeof sides, Measured[]> = { millrace: [], handWired: [], withInsert: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [side, url] of Object.entries(sides) as [keyof typeof sides, string][]) {
        measured[side].push(await load(url, headersOf(stack)));
      }
    }
    handWired.stop();
    withInsert.stop();
    return measured;
  },
);

const best = (side: keyof typeof results): Measured =>
  results[side].reduce((a, b) => (a.perSecond >= b.perSecond ? a : b));
for (const side of ['millrace', 'handWired', 'withInsert'] as const) {
  const { perSecond, p99, failed } = best(side);
  console.log(
    `${side.padEnd(12)} ${perSecond.toFixed(0).padStart(6)} accepted/s   p99 ${p99} ms   failed ${failed}`,
  );
}
const ratio = (a: Measured, b: Measured) => (a.perSecond / b.perSecond).toFixed(2);
console.log(
  `p99 ratio to hand-wired: ${(best('millrace').p99 / best('handWired').p99).toFixed(2)} (goal ≤ 2)`,
);
console.log(`ratio to hand-wired with INSERT: ${ratio(best('millrace'), best('withInsert'))} (goal ≥ 1.5)`);
console.log(`ratio to hand-wired: ${ratio(best('millrace'), best('handWired'))} (goal ≥ 0.9)`);
