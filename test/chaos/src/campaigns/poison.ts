import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../seeded-random.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { chaosJob } from './chaos-jobs.ts';
import { judgeRun } from './judge-run.ts';
import { startLoad } from './load.ts';

/** Work that takes its worker down, and a machine that has had enough. */
export const poison: Campaign = {
  name: 'poison',
  describes: 'jobs that kill their worker each time, a blocked event loop, 5 MB of prompt, a full disk',
  seeds: 1,
  async run(request) {
    const startedAt = performance.now();
    const runs = await attemptParts(request, [
      { name: 'stack of poison', work: () => onOneStack(request) },
      { name: 'stack with a full disk', work: () => onFullDisk(request) },
    ]);
    return { campaign: 'poison', runs, tookMs: performance.now() - startedAt };
  },
};

const MAX_DEATHS = 3;
const NEIGHBOURS = 6;
const deadlyPoints = [
  'call.after-reserve',
  'call.after-sent',
  'call.mid-stream',
  'call.after-answer',
  'advance.step',
];

interface PoisonRun {
  run: string;
  row: string;
  seed: number;
  work: (stack: ChaosStack) => Promise<RunResult>;
}

async function onOneStack(request: CampaignRequest): Promise<RunResult[]> {
  const planned = plan(request);
  if (planned.length === 0) return [];
  const stack = await startChaosStack({
    workers: 3,
    configuration: 'limits:\n  max_body_bytes: 8000000\n  max_text_characters: 6000000\n',
  });
  const runs: RunResult[] = [];
  try {
    for (const { run, row, seed, work } of planned) {
      if (!request.mayGoOn()) break;
      runs.push(await attemptRun(request, { run, seed, row }, () => work(stack)));
    }
    return runs;
  } finally {
    await stack.end();
  }
}

function plan(request: CampaignRequest): PoisonRun[] {
  return seedsOf(request)
    .flatMap((seed) => [
      ...deadlyPoints.map((point) => ({
        run: `poison-${point}-s${seed}`,
        row: point,
        seed,
        work: (stack: ChaosStack) => deadlyJob(stack, request, point, seed),
      })),
      {
        run: `poison-blocked-s${seed}`,
        row: 'blocked',
        seed,
        work: (stack: ChaosStack) => blockedLoop(stack, request, seed),
      },
      {
        run: `poison-large-s${seed}`,
        row: 'large',
        seed,
        work: (stack: ChaosStack) => largePrompt(stack, request, seed),
      },
    ])
    .filter(({ run }) => isSelected(request, run));
}

function seedsOf({ seed, seeds }: CampaignRequest): number[] {
  return Array.from({ length: seeds }, (_, index) => seed + index);
}

/** The job fails after three deaths, and whoever ran beside it does not. */
async function deadlyJob(
  stack: ChaosStack,
  request: CampaignRequest,
  point: string,
  seed: number,
): Promise<RunResult> {
  const run = `poison-${point}-s${seed}`;
  const key = `${run}-poison`;
  const neighbours = startNeighbours(stack, run, seed);
  const deadly = chaosJob('call', { run, key });
  let deaths = 0;
  let isOver = false;
  const order = (): string => {
    const id = `${run}-${deaths + 1}`;
    stack.orders.crash({ id, point, passing: 1, about: key });
    return id;
  };
  let id = order();
  const jobId = await stack.client.submit({ run, key, ...deadly, expect: { statuses: ['failed'] } });
  const followed = (
    jobId === null
      ? Promise.resolve(null)
      : stack.client.follow({ run, jobId, cutEvery: null, seed, patienceMs: 150_000 })
  ).then(() => {
    isOver = true;
  });
  while (!isOver && deaths <= MAX_DEATHS) {
    const landed = await stack.orders.landed(id, 150_000, () => isOver);
    if (!landed) break;
    deaths += 1;
    noteFault(stack, run, seed, { id, phase: point, at: landed.at });
    id = order();
  }
  await followed;
  stack.orders.crash(null);
  await neighbours;
  const result = await judgeRun(stack, request, {
    run,
    seed,
    row: `deadly at ${point}`,
    limitMs: 60_000,
    liveText: 'beginning',
  });
  if (deaths === MAX_DEATHS) return result;
  const what = `its worker died ${deaths} times, not ${MAX_DEATHS}`;
  request.progress(`    I1 ${what}`);
  return { ...result, violations: [...result.violations, { invariant: 'I1', run, about: key, what }] };
}

/** A worker whose event loop does nothing for longer than its lease. */
async function blockedLoop(stack: ChaosStack, request: CampaignRequest, seed: number): Promise<RunResult> {
  const run = `poison-blocked-s${seed}`;
  const key = `${run}-blocked`;
  const neighbours = startNeighbours(stack, run, seed);
  stack.orders.crash({ id: run, point: 'call.mid-stream', passing: 3, about: key, signal: 'BLOCK' });
  const jobId = await stack.client.submit({ run, key, ...chaosJob('chain', { run, key }) });
  const landed = await stack.orders.landed(run, 20_000);
  stack.orders.crash(null);
  noteFault(stack, run, seed, { id: run, phase: 'call.mid-stream', at: landed?.at ?? null, lastsMs: 20_000 });
  if (jobId !== null) await stack.client.follow({ run, jobId, cutEvery: null, seed });
  await neighbours;
  return judgeRun(stack, request, {
    run,
    seed,
    row: 'blocked event loop',
    limitMs: 90_000,
    liveText: 'beginning',
  });
}

async function largePrompt(stack: ChaosStack, request: CampaignRequest, seed: number): Promise<RunResult> {
  const run = `poison-large-s${seed}`;
  const key = `${run}-large`;
  const neighbours = startNeighbours(stack, run, seed);
  const job = chaosJob('call', { run, key });
  const text = 'All work and no play makes a dull prompt. '.repeat(125_000);
  const jobId = await stack.client.submit({
    run,
    key,
    request: { ...job.request, prompt: `${String(job.request['prompt'])} ${text}` },
    // Larger than the model's window: the provider may say so.
    expect: { statuses: ['completed', 'failed'] },
  });
  if (jobId !== null) await stack.client.follow({ run, jobId, cutEvery: null, seed });
  await neighbours;
  return judgeRun(stack, request, {
    run,
    seed,
    row: 'prompt of 5 MB',
    limitMs: 120_000,
    liveText: 'beginning',
  });
}

function startNeighbours(stack: ChaosStack, run: string, seed: number): Promise<void> {
  const random = seededRandom(`${run}-${seed}`);
  return startLoad(stack, {
    run,
    random,
    jobs: NEIGHBOURS,
    spreadMs: 3_000,
    latencyMs: () => random.between(500, 2_500),
    followed: 2,
  }).done;
}

function noteFault(
  stack: ChaosStack,
  run: string,
  seed: number,
  { id, phase, at, lastsMs = 0 }: { id: string; phase: string; at: string | null; lastsMs?: number },
): void {
  const startAt = at ?? new Date().toISOString();
  stack.faultLog.note({
    id,
    campaign: 'poison',
    run,
    seed,
    kind: lastsMs === 0 ? 'crash' : 'block',
    // Claims are not to be seen from outside, so that I12 cannot be judged here: what counts is how it ends.
    target: 'poisoned worker',
    phase,
    startAt,
    endAt: new Date(Date.parse(startAt) + lastsMs).toISOString(),
    landed: at !== null,
  });
}

const DISK_BYTES = 450 * 2 ** 20;
const FULL_FOR_MS = 10_000;

/** PostgreSQL and Redis on a small disk that something else fills for ten seconds; nothing where it cannot be mounted. */
async function onFullDisk(request: CampaignRequest): Promise<RunResult[]> {
  const seeds = seedsOf(request).filter((seed) => isSelected(request, diskRun(seed)));
  if (seeds.length === 0) return [];
  const disk = join(tmpdir(), `millrace-chaos-disk-${process.pid}`);
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=777`, 'tmpfs', disk], {
      stdio: 'ignore',
    });
  } catch {
    request.progress('full disk: skipped, no file system can be mounted here');
    rmSync(disk, { recursive: true });
    return [];
  }
  const runs: RunResult[] = [];
  try {
    const stack = await startChaosStack({ workers: 2, dataDirectory: join(disk, 'stack') });
    try {
      for (const seed of seeds) {
        runs.push(await fullDisk(stack, request, disk, seed));
      }
    } finally {
      await stack.end();
    }
  } finally {
    execFileSync('umount', [disk], { stdio: 'ignore' });
    rmSync(disk, { recursive: true, force: true });
  }
  return runs;
}

function diskRun(seed: number): string {
  return `poison-disk-s${seed}`;
}

async function fullDisk(
  stack: ChaosStack,
  request: CampaignRequest,
  disk: string,
  seed: number,
): Promise<RunResult> {
  const run = diskRun(seed);
  const random = seededRandom(run);
  const latencyMs = (): number => random.between(50, 800);
  const load = startLoad(stack, {
    run,
    random,
    jobs: 150,
    spreadMs: FULL_FOR_MS + 8_000,
    latencyMs,
    followed: 4,
  });
  await pause(2_000);
  const ballast = join(disk, 'ballast');
  const startAt = new Date().toISOString();
  const until = performance.now() + FULL_FOR_MS;
  let isFull = false;
  while (performance.now() < until) {
    const free = freeBytes(disk);
    try {
      if (free > 0) writeFileSync(ballast, Buffer.alloc(free), { flag: 'a' });
    } catch {
      // Somebody was faster.
    }
    isFull ||= freeBytes(disk) === 0;
    await pause(100);
  }
  rmSync(ballast, { force: true });
  stack.faultLog.note({
    id: run,
    campaign: 'poison',
    run,
    seed,
    kind: 'disk full',
    target: 'postgres',
    phase: 'load',
    startAt,
    endAt: new Date().toISOString(),
    landed: isFull,
  });
  await load.done;
  return judgeRun(stack, request, { run, seed, row: 'full disk', limitMs: 120_000, liveText: 'none' });
}

function freeBytes(disk: string): number {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
}
