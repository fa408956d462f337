import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../seeded-random.ts';
import { HEALTHY_AFTER_MS, startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { CampaignRequest, RunResult } from './campaign.ts';
import { judgeRun } from './judge-run.ts';

/** Where the scheduler can die with a client's batch in its hands. */
export const clientBatchPoints: readonly string[] = [
  'client-batch.validated',
  'client-batch.lines-noted',
  'client-batch.jobs-accepted',
  'client-batch.expansion-noted',
  'client-batch.finalizing',
  'client-batch.results-written',
  'client-batch.ended',
];

/** More than a chunk, so that a crash between two chunks is one, too. */
const LINES = 130;
const ENDPOINT = '/v1/chat/completions';
const LANDS_WITHIN_MS = 30_000;
const ENDS_WITHIN_MS = 90_000;

interface ClientBatchCrash {
  run: string;
  point: string;
  seed: number;
}

/** Kills the scheduler at each point of a client's batch, one run after the other. */
export async function runClientBatchCrashes(request: CampaignRequest): Promise<RunResult[]> {
  const planned = plan(request);
  if (planned.length === 0) return [];
  const stack = await startChaosStack({ workers: 1 });
  try {
    const runs: RunResult[] = [];
    for (const crash of planned) {
      if (!request.mayGoOn()) break;
      const described = { run: crash.run, seed: crash.seed, row: crash.point };
      runs.push(await attemptRun(request, described, () => runCrash(stack, request, crash)));
      // So that the supervisor starts the scheduler again at once.
      await pause(HEALTHY_AFTER_MS);
    }
    return runs;
  } finally {
    await stack.end();
  }
}

function plan(request: CampaignRequest): ClientBatchCrash[] {
  const planned: ClientBatchCrash[] = [];
  for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
    for (const point of clientBatchPoints) {
      const run = `${point}-s${seed}`;
      if (isSelected(request, run)) planned.push({ run, point, seed });
    }
  }
  return seededRandom(request.seed).shuffle(planned);
}

async function runCrash(
  stack: ChaosStack,
  request: CampaignRequest,
  { run, point, seed }: ClientBatchCrash,
): Promise<RunResult> {
  const random = seededRandom(run);
  const isInChunk = ['lines-noted', 'jobs-accepted', 'expansion-noted'].some((name) => point.endsWith(name));
  stack.orders.crash({ id: run, point, passing: isInChunk ? random.between(1, 2) : 1, about: null });
  const lines = Array.from({ length: LINES }, (_, index) => lineOf(run, index, random.between(50, 600)));
  const ended = stack.client.batch({ run, endpoint: ENDPOINT, lines, patienceMs: ENDS_WITHIN_MS });
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
  const status = await ended;
  const result = await judgeRun(stack, request, {
    run,
    seed,
    row: point,
    limitMs: ENDS_WITHIN_MS,
    liveText: 'whole',
  });
  if (status === 'completed') return result;
  const what = `the batch ended as ${status}, not as completed`;
  request.progress(`    I15 ${what}`);
  return { ...result, violations: [...result.violations, { invariant: 'I15', run, about: run, what }] };
}

function lineOf(
  run: string,
  index: number,
  latencyMs: number,
): { key: string; line: string; expect: { statuses: string[]; output: string } } {
  const key = `${run}-${index}`;
  const output = `This is line ${key}, in some more words than one`;
  const body = {
    model: 'openai/gpt-6-luna',
    messages: [
      { role: 'user', content: `Write ${key}. [[sim:latency=${latencyMs}]][[sim:reply=${output}]]` },
    ],
    metadata: { run, key },
    max_completion_tokens: 100,
  };
  const line = JSON.stringify({ custom_id: key, method: 'POST', url: ENDPOINT, body });
  return { key, line, expect: { statuses: ['completed'], output } };
}
