/**
 * How full the book, BullMQ's own limiter and a clustered bottleneck get a provider's limits, without the workers around them:
 * four processes with random sizes send as much as they may to the simulator, which counts a sliding window exactly and
 * refuses what is above. The load is that of utilisation.ts, which measures the whole fleet.
 *
 *     npm run bench -- capacity-utilisation [requests|tokens|both] [--limiter all|book|bullmq|bottleneck] [--minute 12]
 *          [--per-minute 2400] [--window 1] [--outsider 0.3] [--outsider-from 30] [--seconds 17]
 *
 * `--limiter all` runs the three after each other within a minute. That is why the simulator's minute takes 12 s (`--minute`)
 * and holds a fifth of `--per-minute`: so a whole window slides in each run. The book counts each call 250 ms longer than the
 * provider, which is 2 % of 12 s and 0.4 % of a real minute: give it `--minute 60`. `--window` is the time in seconds for
 * which BullMQ and bottleneck are told their part of the limit; by default the whole window, as the limit is stated.
 * `--outsider` lets somebody else use that share of the account from a second on, which the book has to learn from headers.
 * Looked at is the last window, so that starting does not count.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startRedisServer } from '@millrace/infra';
import type { LoadOrder, LoadReport } from './capacity-load.ts';
import { askWitness, fuller, percent } from './capacity-witness.ts';
import { sendFromOutside } from './outsider.ts';
import { reportFigures } from './report-figures.ts';
import { startSimulatorProcess } from './simulator-process.ts';

const PROCESSES = 4;
const CALLERS = 64;
/** What a call is charged on average; see `randomTokens`. */
const TOKENS_PER_CALL = 1_000;
const NAMES = {
  book: 'the book alone',
  bullmq: 'BullMQ’s limiter',
  bottleneck: 'clustered bottleneck',
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    limiter: { type: 'string', default: 'all' },
    minute: { type: 'string', default: '12' },
    'per-minute': { type: 'string', default: '2400' },
    window: { type: 'string' },
    outsider: { type: 'string', default: '0' },
    'outsider-from': { type: 'string' },
    seconds: { type: 'string' },
  },
});
const mode = positionals[0] ?? 'both';
const perMinute = Number(values['per-minute']);
const windowMs = Number(values.minute) * 1_000;
const peerWindowMs = values.window === undefined ? windowMs : Number(values.window) * 1_000;
const runMs =
  values.seconds !== undefined
    ? Number(values.seconds) * 1_000
    : windowMs < 60_000
      ? windowMs + 5_000
      : windowMs * 1.5;
const outsiderShare = Number(values.outsider);
const outsiderFromMs = Number(values['outsider-from'] ?? '30') * 1_000;
const limits = {
  requests: mode === 'tokens' ? null : (perMinute * windowMs) / 60_000,
  tokens: mode === 'requests' ? null : (perMinute * TOKENS_PER_CALL * windowMs) / 60_000,
};
const apiKey = 'sk-bench';

/** What is said of a limiter in the end. */
interface Outcome {
  share: number;
  refused: number;
  offered: number;
}

const limiters = (
  values.limiter === 'all' ? ['bottleneck', 'bullmq', 'book'] : [values.limiter]
) as LoadOrder['limiter'][];
const outcomes: [LoadOrder['limiter'], Outcome][] = [];
for (const limiter of limiters) outcomes.push([limiter, await measure(limiter)]);
if (outcomes.length > 1) {
  console.table(
    Object.fromEntries(
      outcomes.map(([limiter, { share, refused, offered }]) => [
        NAMES[limiter],
        { 'share used': percent(share), 'answers 429': refused, 'fullest window offered': percent(offered) },
      ]),
    ),
  );
}
reportFigures(
  outcomes.map(([limiter, { share, refused, offered }]) => {
    const part =
      limiter === 'book' || peerWindowMs === windowMs ? '' : `, told per ${peerWindowMs / 1_000} s`;
    const outsider = outsiderShare === 0 ? '' : `, an outsider takes ${outsiderShare * 100} %`;
    return {
      what: `${NAMES[limiter]}${part}: share of ${perMinute.toLocaleString('en')} a minute used, ${mode}, window of ${windowMs / 1_000} s${outsider}`,
      goal: '',
      figure: `${percent(share)}, ${refused} answers 429, fullest window offered ${percent(offered)}`,
      reached: null,
    };
  }),
);

/** Runs a limiter with a Redis and a provider of its own. */
async function measure(limiter: LoadOrder['limiter']): Promise<Outcome> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const redis = await startRedisServer({ dataDirectory, appendOnly: false });
  const simulator = await startSimulatorProcess({
    latencyMs: 50,
    latencyJitterMs: 100,
    limits: { windowMs, openai: limits },
  });
  try {
    return await run(limiter, redis.url, simulator.url);
  } finally {
    simulator.stop();
    await redis.stop();
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

async function run(limiter: LoadOrder['limiter'], redisUrl: string, simulatorUrl: string): Promise<Outcome> {
  const workers = await Promise.all(Array.from({ length: PROCESSES }, startWorker));
  const startsAt = Date.now();
  const endsAt = startsAt + runMs;
  const order = {
    limiter,
    redisUrl,
    address: { simulatorUrl, apiKey },
    limits,
    windowMs,
    peerWindowMs,
    endsAt,
    callers: CALLERS,
  };
  const outsider = sendFromOutside(order.address, {
    perSecond: (perMinute / 60) * outsiderShare,
    from: startsAt + outsiderFromMs,
    to: endsAt,
  });
  const reports = await Promise.all(workers.map((child, index) => runWorker(child, { ...order, index })));
  const outside = await outsider;
  // A whole window, so that limiters that send in bursts a minute apart are not wronged.
  const from = endsAt - windowMs;
  const witness = await askWitness(simulatorUrl, { from, to: endsAt });
  const share = {
    requests: limits.requests === null ? null : witness.used.requests / limits.requests,
    tokens: limits.tokens === null ? null : witness.used.tokens / limits.tokens,
  };
  const ofWorkers = (of: (report: LoadReport) => number): number =>
    reports.reduce((sum, report) => sum + of(report), 0);

  print(
    `limits ${JSON.stringify(limits)}, per ${windowMs / 1_000} s, limiter ${limiter}${limiter === 'book' ? '' : ` per ${peerWindowMs / 1_000} s`}, ${PROCESSES} processes, ${runMs / 1_000} s`,
  );
  printDelays(reports, witness.arrivals);
  const warnings = reports.flatMap((report) => report.warnings);
  for (const warning of warnings.slice(0, 3)) print(`warning: ${warning}`);
  if (outside.sent > 0) print(`the outsider sent ${outside.sent}, of which refused ${outside.refused}`);
  print(`most set aside for others: ${percent(Math.max(...reports.map((report) => report.outside)))}`);
  print(`booked anew because late: ${ofWorkers(({ late }) => late)}`);
  print(`share of the requests used: ${percent(share.requests)}, of the tokens: ${percent(share.tokens)}`);
  const { letIn, offered } = witness;
  print(`fullest window let in: requests ${percent(letIn.requests)}, tokens ${percent(letIn.tokens)}`);
  print(`fullest window offered: requests ${percent(offered.requests)}, tokens ${percent(offered.tokens)}`);
  print(`calls ${ofWorkers(({ sent }) => sent)}, answers 429: ${ofWorkers(({ refused }) => refused)}`);
  return {
    share: fuller(share),
    refused: ofWorkers(({ refused }) => refused),
    offered: fuller(offered),
  };
}

/** Starts a process that is ready to be told what to do. */
async function startWorker(): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'capacity-load.ts'));
  await once(child, 'message');
  return child;
}

function runWorker(child: ChildProcess, order: LoadOrder): Promise<LoadReport> {
  child.send(order);
  return new Promise((resolveReport, reject) => {
    child.once('message', (report) => resolveReport(report as LoadReport));
    child.once('exit', (code) => reject(new Error(`a worker ended with ${code}`)));
  });
}

/** How late calls left, and how long they were on their way: the spread must stay below what the book allows for. */
function printDelays(reports: readonly LoadReport[], arrivals: ReadonlyMap<string, number>): void {
  if (reports.every(({ departures }) => departures.length === 0)) return;
  const calls = reports.flatMap(({ departures }) => departures).filter(([id]) => arrivals.has(id));
  const describe = (delays: number[]): string => {
    delays.sort((one, other) => one - other);
    const at = (share: number): number =>
      delays[Math.min(delays.length - 1, Math.floor(share * delays.length))] ?? 0;
    return `least ${at(0)}, p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, most ${at(1)}`;
  };
  print(
    `ms from booked departure to sending: ${describe(calls.map(([, departsAt, sentAt]) => sentAt - departsAt))}`,
  );
  print(
    `ms from sending to arrival: ${describe(calls.map(([id, , sentAt]) => (arrivals.get(id) ?? 0) - sentAt))}`,
  );
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
