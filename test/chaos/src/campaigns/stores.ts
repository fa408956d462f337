import { seededRandom } from '../seeded-random.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { judgeRun } from './judge-run.ts';
import { startLoad } from './load.ts';
import { postgresFaults } from './postgres-faults.ts';
import { redisFaults } from './redis-faults.ts';
import { tryProxiedRedis } from './proxied-redis.ts';
import type { StoreFault } from './store-fault.ts';

/** What befalls Redis and PostgreSQL while jobs come and run. */
export const stores: Campaign = {
  name: 'stores',
  describes: 'Redis and PostgreSQL killed, restarted, frozen, emptied, full, unreachable, away at the start',
  seeds: 4,
  async run(request) {
    const startedAt = performance.now();
    const isLong = ({ lastsMs }: StoreFault): boolean => lastsMs > 15_000;
    const groups = [redisFaults, postgresFaults].flatMap((faults) => [
      faults.filter(isLong),
      faults.filter((fault) => !isLong(fault)),
    ]);
    // They stand still most of the time, so five stacks share the machine well.
    const runs = await attemptParts(request, [
      ...groups.map((faults) => ({
        name: `stack of ${faults[0]?.kind ?? 'nothing'}`,
        work: () => onStackOfItsOwn(request, faults),
      })),
      { name: 'stack of redis.network', work: () => tryProxiedRedis(request) },
    ]);
    return { campaign: 'stores', runs, tookMs: performance.now() - startedAt };
  },
};

const JOBS = 45;

async function onStackOfItsOwn(
  request: CampaignRequest,
  faults: readonly StoreFault[],
): Promise<RunResult[]> {
  const wanted = storeRuns(request, faults);
  if (wanted.length === 0) return [];
  const stack = await startChaosStack({ workers: 2 });
  try {
    const runs: RunResult[] = [];
    for (const { fault, seed } of wanted) {
      if (!request.mayGoOn()) return runs;
      runs.push(await tryStoreFault(stack, request, fault, seed));
    }
    return runs;
  } finally {
    await stack.end();
  }
}

/** Those that are asked for, seed by seed, each seed in an order of its own. */
export function storeRuns<Fault extends { kind: string }>(
  request: Pick<CampaignRequest, 'seed' | 'seeds' | 'only'>,
  faults: readonly Fault[],
): { fault: Fault; seed: number }[] {
  const seeds = Array.from({ length: request.seeds }, (_, index) => request.seed + index);
  return seeds.flatMap((seed) =>
    seededRandom(seed)
      .shuffle(faults)
      .filter((fault) => isSelected(request, runName(fault, seed)))
      .map((fault) => ({ fault, seed })),
  );
}

function runName({ kind }: { kind: string }, seed: number): string {
  return `${kind}-s${seed}`;
}

/** Jobs come before, during and after the fault. */
export function tryStoreFault(
  stack: ChaosStack,
  request: CampaignRequest,
  fault: StoreFault,
  seed: number,
): Promise<RunResult> {
  const described = { run: runName(fault, seed), seed, row: fault.kind };
  return attemptRun(request, described, () => injectUnderLoad(stack, request, fault, seed));
}

async function injectUnderLoad(
  stack: ChaosStack,
  request: CampaignRequest,
  fault: StoreFault,
  seed: number,
): Promise<RunResult> {
  const run = runName(fault, seed);
  const random = seededRandom(run);
  const spreadMs = fault.lastsMs + 6_000;
  const latencyMs = (): number => random.between(50, 1_500);
  const load = startLoad(stack, { run, random, jobs: JOBS, spreadMs, latencyMs, followed: 6 });
  await new Promise((resolve) => setTimeout(resolve, random.between(1_000, 3_000)));
  const startAt = new Date().toISOString();
  const landed = await fault.inject(stack);
  stack.faultLog.note({
    id: run,
    campaign: 'stores',
    run,
    seed,
    kind: fault.kind,
    target: fault.target,
    phase: 'load',
    startAt,
    endAt: new Date().toISOString(),
    landed,
  });
  await load.done;
  return judgeRun(stack, request, { run, seed, row: fault.kind, limitMs: 120_000, liveText: 'none' });
}
