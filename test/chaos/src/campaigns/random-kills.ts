import { setTimeout as pause } from 'node:timers/promises';
import { freeze } from '@millrace/infra';
import { seededRandom } from '../seeded-random.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { openFlakyReceiver } from '../stack/open-flaky-receiver.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { judgeRun } from './judge-run.ts';
import { startLoad } from './load.ts';

const JOBS = 200;
const SPREAD_MS = 12_000;
const KILLS = 4;
const ROW = 'random kills';

/** Random processes are killed, asked to stop or frozen while 200 mixed jobs run. */
export const randomKills: Campaign = {
  name: 'random-kills',
  describes: 'SIGKILL, SIGTERM and SIGSTOP (5–30 s) on random processes while 200 mixed jobs run',
  seeds: 50,
  async run(request) {
    const startedAt = performance.now();
    const seeds = Array.from({ length: request.seeds }, (_, index) => request.seed + index).filter((seed) =>
      isSelected(request, runName(seed)),
    );
    // Two stacks on two cores took an API that was killed 7 s to come back, one takes 1.5 s: I12 would judge the machine.
    const parts = Array.from({ length: Math.min(STACKS, seeds.length) }, (_, index) => ({
      name: `stack ${index}`,
      work: () => takeSeeds(request, seeds),
    }));
    const runs = await attemptParts(request, parts);
    return { campaign: 'random-kills', runs, tookMs: performance.now() - startedAt };
  },
};

const STACKS = 1;
const GRACE_S = 5;

function runName(seed: number): string {
  return `kills-s${seed}`;
}

/** Takes one seed after the other from those that are left. */
async function takeSeeds(request: CampaignRequest, left: number[]): Promise<RunResult[]> {
  const stack = await startChaosStack({
    workers: 3,
    configuration: 'retry:\n  max_deaths: 10\n',
    environment: { MILLRACE_SHUTDOWN_GRACE: `${GRACE_S}s` },
  });
  try {
    const flakyUrl = await openFlakyReceiver(stack);
    const runs: RunResult[] = [];
    for (let seed = left.shift(); seed !== undefined && request.mayGoOn(); seed = left.shift()) {
      const taken = seed;
      const described = { run: runName(seed), seed, row: ROW };
      runs.push(await attemptRun(request, described, () => oneSeed(stack, request, taken, flakyUrl)));
    }
    return runs;
  } finally {
    await stack.end();
  }
}

async function oneSeed(
  stack: ChaosStack,
  request: CampaignRequest,
  seed: number,
  flakyUrl: string,
): Promise<RunResult> {
  const run = runName(seed);
  const random = seededRandom(run);
  const latencyMs = (): number => random.between(50, 900);
  const load = startLoad(stack, {
    run,
    random,
    jobs: JOBS,
    spreadMs: SPREAD_MS,
    latencyMs,
    followed: 12,
    flakyUrl,
  });
  // Of their own: else the victims would depend on how many jobs the load had begun by then.
  const victims = seededRandom(`${run}-victims`);
  const thaws: Promise<void>[] = [];
  for (let number = 1; number <= KILLS; number += 1) {
    await pause(SPREAD_MS / (KILLS + 1));
    thaws.push(strikeAtRandom(stack, run, seed, number, victims));
  }
  await Promise.all([load.done, ...thaws]);
  return judgeRun(stack, request, {
    run,
    seed,
    row: ROW,
    limitMs: 120_000,
    liveText: 'beginning',
  });
}

/** Resolves when the victim runs again, as far as that is in our hands. */
async function strikeAtRandom(
  stack: ChaosStack,
  run: string,
  seed: number,
  number: number,
  random: SeededRandom,
): Promise<void> {
  const victim = random.pick(stack.processes);
  const signal = random.pick(['SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGSTOP'] as const);
  const stopMs = random.between(5_000, 30_000);
  const startAt = new Date().toISOString();
  const { pid } = victim;
  let landed = false;
  if (signal === 'SIGSTOP' && pid !== null) {
    const thaw = freeze(pid);
    landed = true;
    await pause(stopMs);
    thaw();
  } else {
    landed = victim.signal(signal);
  }
  stack.faultLog.note({
    id: `${run}-${number}`,
    campaign: 'random-kills',
    run,
    seed,
    kind: signal,
    target: victim.name.replace(/-\d+$/, ''),
    phase: victim.name,
    startAt,
    // The others take over while it stands still, so recovery counts from the beginning; calls overlap to its end.
    endAt: new Date().toISOString(),
    landed,
    // Calls that were under way go on until the grace is over, and are ended then.
    ...(signal === 'SIGTERM' ? { detail: { lingersMs: GRACE_S * 1_000 } } : {}),
  });
}
