/**
 * P1: accepted jobs per second, beside a hand-wired intake (Express 5, zod, SET NX, BullMQ add) that is not durable, and the
 * same with one plain INSERT per request before it. 50 connections, a body of 2 kB, a key of its own per request; the best of
 * two rounds of each counts.
 *
 *     npm run bench -- intake [--seconds 6]
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { readLines, spawnGuarded } from '@millrace/infra';
import { headersOf, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' } } });
const SECONDS = Number(values.seconds);
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
const [millrace, handWired, withInsert] = [best('millrace'), best('handWired'), best('withInsert')];
const slowness = millrace.p99 / handWired.p99;
const toInsert = millrace.perSecond / withInsert.perSecond;
const toHandWired = millrace.perSecond / handWired.perSecond;
reportFigures([
  {
    what: 'P1 p99 of an intake ÷ that of a hand-wired Express + zod + `SET NX` + BullMQ `add`, not durable',
    goal: '≤ 2',
    figure: `${slowness.toFixed(2)} (${millrace.p99} ms)`,
    reached: slowness <= 2,
  },
  {
    what: 'P1 accepted jobs/s ÷ the hand-wired one with one `INSERT` per request',
    goal: '≥ 1.5',
    figure: `${toInsert.toFixed(2)} (${Math.round(millrace.perSecond).toLocaleString('en')}/s)`,
    reached: toInsert >= 1.5,
  },
  {
    what: 'P1 accepted jobs/s ÷ the hand-wired one, not durable',
    goal: '≥ 0.9',
    figure: `${toHandWired.toFixed(2)} (${Math.round(millrace.perSecond).toLocaleString('en')}/s)`,
    reached: toHandWired >= 0.9,
  },
]);
