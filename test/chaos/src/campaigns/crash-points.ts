import { setTimeout as pause } from 'node:timers/promises';
import { HEALTHY_AFTER_MS, startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { runBatchCrashes } from './batch-crashes.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { chaosJob } from './chaos-jobs.ts';
import { runClientBatchCrashes } from './client-batch-crashes.ts';
import { crashRuns } from './crash-runs.ts';
import type { CrashRun } from './crash-runs.ts';
import { judgeRun } from './judge-run.ts';

/** Every named point × every kind of job × seeds: the process dies there by SIGKILL, and the supervisor starts it again. */
export const crashPoints: Campaign = {
  name: 'crash-points',
  describes: 'SIGKILL at each named point of the code, for each kind of job',
  seeds: 5,
  async run(request) {
    const startedAt = performance.now();
    const runs = await attemptParts(request, [
      { name: 'crashes of one job', work: () => onStackOfTheirOwn(request) },
      { name: 'crashes of batches', work: () => runBatchCrashes(request) },
      { name: "crashes of clients' batches", work: () => runClientBatchCrashes(request) },
    ]);
    return { campaign: 'crash-points', runs, tookMs: performance.now() - startedAt };
  },
};

async function onStackOfTheirOwn(request: CampaignRequest): Promise<RunResult[]> {
  const planned = crashRuns(request);
  if (planned.length === 0) return [];
  const stack = await startChaosStack({
    workers: WORKERS,
    // Poison is a campaign of its own; here a step may be near the deaths of several processes.
    configuration: 'retry:\n  max_deaths: 10\n',
  });
  try {
    return await runCrashes(stack, request, planned);
  } finally {
    await stack.end();
  }
}

const WORKERS = 4;
/** Runs whose crash has landed and that are not judged yet. */
const MOST_UNDER_WAY = 7;
const LANDS_WITHIN_MS = 20_000;
const ENDS_WITHIN_MS = 90_000;
const TRIES = 3;

/**
 * Orders one crash after the other. While a run recovers, the next ones begin: recovery is waiting most of the time.
 */
export async function runCrashes(
  stack: ChaosStack,
  request: CampaignRequest,
  planned: readonly CrashRun[],
): Promise<RunResult[]> {
  const results: RunResult[] = [];
  const underWay = new Set<Promise<void>>();
  const deaths = new Map<string, number>();
  const todo = [...planned];
  while (todo.length > 0 && request.mayGoOn()) {
    if (underWay.size >= MOST_UNDER_WAY) await Promise.race(underWay);
    const ready = todo.findIndex((run) => mayDie(deaths, run.target));
    if (ready === -1) {
      await pause(200);
      continue;
    }
    const [run] = todo.splice(ready, 1);
    if (!run) continue;
    const described = { run: run.run, seed: run.seed, row: run.point };
    const struck = strike(stack, run);
    const judging = attemptRun(request, described, async () => judge(stack, request, run, await struck)).then(
      (result) => {
        results.push(result);
        underWay.delete(judging);
      },
    );
    underWay.add(judging);
    const started = await struck.catch(() => null);
    if (started !== null && started.landedAt !== null) deaths.set(run.target, performance.now());
  }
  await Promise.all(underWay);
  return results;
}

/** Time to start, and then to live long enough to be forgiven the death. */
const REST_MS = HEALTHY_AFTER_MS + 4_000;

/** There is one API; of the workers another one is struck next, most of the time. */
function mayDie(deaths: ReadonlyMap<string, number>, target: CrashRun['target']): boolean {
  return target !== 'api' || performance.now() - (deaths.get(target) ?? -REST_MS) >= REST_MS;
}

interface Struck {
  run: string;
  jobId: string | null;
  /** Performance clock; null: the crash did not land. */
  landedAt: number | null;
  following: Promise<unknown>;
}

/** Orders the crash, submits the job, waits for the crash. A crash that does not land is tried again with another job. */
async function strike(stack: ChaosStack, planned: CrashRun): Promise<Struck> {
  for (let number = 1; ; number += 1) {
    const run = number === 1 ? planned.run : `${planned.run}-try${number}`;
    const key = `${run}-key`;
    const id = `${run}-order`;
    stack.orders.crash({ id, point: planned.point, passing: planned.passing, about: key });
    const job = chaosJob(planned.kind, { run, key });
    let isOver = false;
    const submitted = stack.client.submit({ run, key, ...job });
    const following = submitted.then(async (jobId) => {
      if (jobId === null) return;
      await stack.client.follow({ run, jobId, cutEvery: 6, seed: planned.seed });
      // Its webhook may still be on its way.
      isOver = !planned.point.startsWith('webhook.');
    });
    const landed = await stack.orders.landed(id, LANDS_WITHIN_MS, () => isOver);
    stack.orders.crash(null);
    stack.faultLog.note({
      id,
      campaign: 'crash-points',
      run,
      seed: planned.seed,
      kind: 'crash',
      target: planned.target,
      phase: planned.point,
      startAt: landed?.at ?? new Date().toISOString(),
      endAt: landed?.at ?? new Date().toISOString(),
      landed: landed !== null,
      detail: { passing: planned.passing, pid: landed?.pid ?? null },
    });
    if (landed || number === TRIES) {
      return { run, jobId: await submitted, landedAt: landed ? performance.now() : null, following };
    }
    await following;
  }
}

async function judge(
  stack: ChaosStack,
  request: CampaignRequest,
  planned: CrashRun,
  struck: Struck,
): Promise<RunResult> {
  const { run, jobId } = struck;
  await struck.following;
  if (jobId !== null) {
    await stack.client.look(run, jobId);
    // What has ended must stay ended, and its key must keep its meaning.
    await stack.client.cancel(run, jobId);
    await stack.client.probe(run, jobId);
    const key = `${run}-key`;
    await stack.client.submit({ run, key, ...chaosJob(planned.kind, { run, key }) });
  }
  return judgeRun(stack, request, {
    run,
    seed: planned.seed,
    row: planned.point,
    limitMs: ENDS_WITHIN_MS,
    liveText: 'whole',
  });
}
