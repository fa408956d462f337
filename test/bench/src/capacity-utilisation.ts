/**
 * How full the fleet gets a provider's limits (goals.md P2): four worker processes with random sizes send as much as they
 * may to the simulator, which counts every sliding minute of 60 s exactly and refuses what is above.
 *
 *     node test/bench/src/capacity-utilisation.ts [requests|tokens|both] [--limiter all|book|bullmq|bottleneck] [--minute 60]
 *          [--window 1|60] [--outsider 0.3] [--outsider-from 30] [--seconds 90]
 *
 * Looked at is the last minute, so that starting the processes does not count. `--outsider` lets somebody else
 * use that share of the account from a second on, which the book has to learn from headers. `--window` is the time in
 * seconds for which BullMQ and bottleneck are told their part of the limit. Prints the share last.
 *
 * `--limiter all`, the default, runs the three after each other within a minute, with limits per 10 s (`--minute 10`): the
 * whole window slides in each run, but the 250 ms that the book counts each call longer than the provider are 2.5 % of it, not
 * 0.4 % as of a minute. The figures of P2 are those of `--limiter book`, which is given a minute.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startRedisServer } from '@millrace/infra';
import { sendCall } from './capacity-call.ts';
import type { CallAddress } from './capacity-call.ts';
import type { LoadOrder, LoadReport } from './capacity-load.ts';
import { askWitness } from './capacity-witness.ts';

const PROCESSES = 4;
const CALLERS = 64;
/** 100 requests a second of 1,000 tokens on average: what two busy cores carry besides the simulator. */
const REQUESTS = 6_000;
const TOKENS = 6_000_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    limiter: { type: 'string', default: 'all' },
    minute: { type: 'string' },
    window: { type: 'string' },
    outsider: { type: 'string', default: '0' },
    'outsider-from': { type: 'string', default: '30' },
    seconds: { type: 'string' },
  },
});
const mode = positionals[0] ?? 'both';
const isComparison = values.limiter === 'all';
const windowMs = Number(values.minute ?? (isComparison ? '10' : '60')) * 1_000;
const peerWindowMs = values.window === undefined ? windowMs : Number(values.window) * 1_000;
const runMs = values.seconds === undefined ? windowMs * 1.5 : Number(values.seconds) * 1_000;
const limits = {
  requests: mode === 'tokens' ? null : (REQUESTS * windowMs) / 60_000,
  tokens: mode === 'requests' ? null : (TOKENS * windowMs) / 60_000,
};
const apiKey = 'sk-bench';

const limiters = isComparison ? ['bottleneck', 'bullmq', 'book'] : [values.limiter];
for (const limiter of limiters) await measure(limiter as LoadOrder['limiter']);

/** Runs a limiter with a Redis and a provider of its own. */
async function measure(limiter: LoadOrder['limiter']): Promise<void> {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  const redis = await startRedisServer({ dataDirectory, appendOnly: false });
  const simulator = await startSimulatorProcess();
  try {
    await run(limiter, redis.url, simulator.url);
  } finally {
    simulator.stop();
    await redis.stop();
    rmSync(dataDirectory, { recursive: true, force: true });
  }
}

async function run(limiter: LoadOrder['limiter'], redisUrl: string, simulatorUrl: string): Promise<void> {
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
  const outsider = sendFromOutside(
    order.address,
    Number(values.outsider),
    startsAt + Number(values['outsider-from']) * 1_000,
    endsAt,
  );
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
  print(
    `share of the requests used: ${percent(share.requests)}, fullest minute ${percent(witness.fullest.requests)}`,
  );
  print(
    `share of the tokens used: ${percent(share.tokens)}, fullest minute ${percent(witness.fullest.tokens)}`,
  );
  print(`calls ${ofWorkers(({ sent }) => sent)}, answers 429: ${ofWorkers(({ refused }) => refused)}`);
  const fullest = Math.max(witness.fullest.requests ?? 0, witness.fullest.tokens ?? 0);
  print(`fullest sliding window: ${fullest.toFixed(4)}`);
  print(`${limiter}: share used: ${Math.max(share.requests ?? 0, share.tokens ?? 0).toFixed(4)}`);
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

/** Somebody else with the same account, who sends at an even pace and looks at nothing. */
async function sendFromOutside(
  address: CallAddress,
  share: number,
  from: number,
  to: number,
): Promise<{ sent: number; refused: number }> {
  const seen = { sent: 0, refused: 0 };
  if (share === 0) return seen;
  await new Promise((resolveStart) => setTimeout(resolveStart, from - Date.now()));
  const perSecond = Math.min(REQUESTS, TOKENS / 1_000) * (share / 60);
  const calls: Promise<void>[] = [];
  while (Date.now() < to) {
    const due = Math.floor(((Date.now() - from) / 1_000) * perSecond);
    while (seen.sent < due) {
      seen.sent += 1;
      calls.push(
        sendCall(address, `outsider-${seen.sent}`, 1_000).then(({ status }) => {
          if (status === 429) seen.refused += 1;
        }),
      );
    }
    await new Promise((resolveTick) => setTimeout(resolveTick, 20));
  }
  await Promise.all(calls);
  return seen;
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

async function startSimulatorProcess(): Promise<{ url: string; stop: () => void }> {
  const config = { latencyMs: 50, latencyJitterMs: 100, limits: { windowMs, openai: limits } };
  const child = fork(resolve(import.meta.dirname, '../../simulator/src/main.ts'), {
    env: { ...process.env, SIMULATOR_CONFIG: JSON.stringify(config) },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  // A provider does not share our cores; without the right to give it more of them the machine must be quiet.
  try {
    setPriority(child.pid ?? 0, -10);
  } catch {
    print('the simulator runs at the priority of the rest');
  }
  const url = await new Promise<string>((resolveUrl, reject) => {
    child.stdout?.once('data', (line: Buffer) =>
      resolveUrl((JSON.parse(line.toString()) as { listening: string }).listening),
    );
    child.once('exit', (code) => reject(new Error(`the simulator ended with ${code}`)));
  });
  return {
    url,
    stop: () => {
      child.removeAllListeners('exit');
      child.kill('SIGTERM');
    },
  };
}

function percent(share: number | null): string {
  return share === null ? 'unlimited' : `${(share * 100).toFixed(2)} %`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
