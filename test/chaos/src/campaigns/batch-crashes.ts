import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../seeded-random.ts';
import { HEALTHY_AFTER_MS, startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { CampaignRequest, RunResult } from './campaign.ts';
import { batchJob } from './chaos-jobs.ts';
import { judgeRun } from './judge-run.ts';

/** Where the scheduler can die with a provider batch in its hands. `batch.uploaded`: only OpenAI takes a file first. */
export const batchPoints: readonly { name: string; onlyOpenAI?: boolean }[] = [
  { name: 'batch.bound' },
  { name: 'batch.gathered' },
  { name: 'batch.before-upload' },
  { name: 'batch.uploaded', onlyOpenAI: true },
  { name: 'batch.after-upload', onlyOpenAI: true },
  { name: 'batch.after-create' },
  { name: 'batch.recorded' },
  { name: 'batch.poll' },
  { name: 'batch.line' },
  { name: 'batch.lines-recorded' },
  { name: 'batch.read' },
  { name: 'batch.discarded' },
];

const models = ['openai/gpt-6-luna', 'anthropic/claude-haiku-5-5'];
const LINES = 3;
const LANDS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 90_000;
/** So that the supervisor starts the scheduler again at once. */
const REST_MS = HEALTHY_AFTER_MS;

const STACKS = 2;

/** Kills the scheduler at each point of the batch lane, one run after the other on each of two stacks. */
export async function runBatchCrashes(request: CampaignRequest): Promise<RunResult[]> {
  const left = plan(request);
  const stacks = Array.from({ length: Math.min(STACKS, left.length) }, (_, index) => ({
    name: `stack ${index} of batches`,
    work: () => takeCrashes(request, left),
  }));
  return attemptParts(request, stacks);
}

async function takeCrashes(request: CampaignRequest, left: BatchCrash[]): Promise<RunResult[]> {
  const stack = await startChaosStack({ workers: 1 });
  try {
    const runs: RunResult[] = [];
    for (let next = left.shift(); next && request.mayGoOn(); next = left.shift()) {
      const described = { run: next.run, seed: next.seed, row: next.point };
      const crash = next;
      runs.push(await attemptRun(request, described, () => runCrash(stack, request, crash)));
      await pause(REST_MS);
    }
    return runs;
  } finally {
    await stack.end();
  }
}

interface BatchCrash {
  run: string;
  point: string;
  model: string;
  seed: number;
}

function plan(request: CampaignRequest): BatchCrash[] {
  const planned: BatchCrash[] = [];
  for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
    for (const { name, onlyOpenAI } of batchPoints) {
      const model = (onlyOpenAI ? undefined : models[seed % models.length]) ?? 'openai/gpt-6-luna';
      const run = `${name}-${model.replace(/\/.*/, '')}-s${seed}`;
      if (isSelected(request, run)) planned.push({ run, point: name, model, seed });
    }
  }
  return seededRandom(request.seed).shuffle(planned);
}

async function runCrash(
  stack: ChaosStack,
  request: CampaignRequest,
  { run, point, model, seed }: BatchCrash,
): Promise<RunResult> {
  stack.orders.crash({ id: run, point, passing: 1, about: null });
  const submissions = Array.from({ length: LINES }, (_, index) => {
    const key = `${run}-${index}`;
    return { run, key, ...batchJob({ run, key }, model) };
  });
  const jobIds = await Promise.all(submissions.map((each) => stack.client.submit(each)));
  const following = jobIds.map(async (jobId) =>
    jobId === null
      ? null
      : stack.client.follow({ run, jobId, cutEvery: 4, seed, patienceMs: ENDS_WITHIN_MS }),
  );
  const landed = await stack.orders.landed(run, LANDS_WITHIN_MS);
  stack.orders.crash(null);
  const at = landed?.at ?? new Date().toISOString();
  stack.faultLog.note({
    id: run,
    campaign: 'crash-points',
    run,
    seed,
    kind: 'crash',
    target: 'scheduler',
    phase: point,
    startAt: at,
    endAt: at,
    landed: landed !== null,
    detail: { pid: landed?.pid ?? null },
  });
  await Promise.all(following);
  return judgeRun(stack, request, {
    run,
    seed,
    row: point,
    limitMs: ENDS_WITHIN_MS,
    liveText: 'whole',
    ownsBatches: true,
  });
}
