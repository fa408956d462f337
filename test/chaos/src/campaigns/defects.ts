import { check } from '../checker/check.ts';
import type { Invariant } from '../checker/check.ts';
import type { Evidence } from '../observer/evidence.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts, attemptRun } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { plantedDefects } from './planted-defects.ts';
import type { PlantedDefect } from './planted-defects.ts';

/** Tests the tester: each scenario without its defect (must be green) and with it (must be red, in the right place). */
export const defects: Campaign = {
  name: 'defects',
  describes: 'planted defects: the checker must go red on each, and stay green without',
  seeds: 1,
  async run(request) {
    const startedAt = performance.now();
    const parts = Array.from({ length: STACKS }, (_, index) => ({
      name: `stack ${index} of defects`,
      work: () =>
        onStackOfTheirOwn(
          request,
          plantedDefects.filter((_defect, at) => at % STACKS === index),
        ),
    }));
    const runs = await attemptParts(request, parts);
    return { campaign: 'defects', runs, tookMs: performance.now() - startedAt };
  },
};

/** Most scenarios wait most of the time. */
const STACKS = 2;

async function onStackOfTheirOwn(
  request: CampaignRequest,
  wanted: readonly PlantedDefect[],
): Promise<RunResult[]> {
  const seeds = Array.from({ length: request.seeds }, (_, index) => request.seed + index);
  if (!seeds.some((seed) => wanted.some((defect) => runsOf(defect, { ...request, seed }).length > 0)))
    return [];
  const stack = await startChaosStack({ workers: 2, configuration: defectsConfiguration });
  try {
    const runs: RunResult[] = [];
    for (const seed of seeds) {
      runs.push(...(await tryDefects(stack, wanted, { ...request, seed })));
    }
    return runs;
  } finally {
    await stack.end();
  }
}

/** The two runs of a defect, as far as they are asked for. */
function runsOf({ name }: PlantedDefect, request: CampaignRequest): { run: string; planted: boolean }[] {
  return [false, true]
    .map((planted) => ({
      run: `defect-${name}-${planted ? 'planted' : 'control'}-s${request.seed}`,
      planted,
    }))
    .filter(({ run }) => isSelected(request, run));
}

/** A pool in which a booking that is never settled is soon missed. */
export const defectsConfiguration = `pools:
  narrow:
    targets: [openai/gpt-5.4-nano]
    max_concurrent_calls: 2
  limited:
    targets: [openai/gpt-5.4-mini]
  empty:
    targets: [openai/gpt-4.1-mini]
  empty-too:
    targets: [openai/gpt-6-sol]
`;

/** Runs the scenarios of some defects one after the other on a stack. */
export async function tryDefects(
  stack: ChaosStack,
  wanted: readonly PlantedDefect[],
  request: CampaignRequest,
): Promise<RunResult[]> {
  const runs: RunResult[] = [];
  for (const defect of wanted) {
    if (!request.mayGoOn()) continue;
    for (const { run, planted } of runsOf(defect, request)) {
      const row = rowOf(defect, planted);
      const work = (): Promise<RunResult> => tryDefect(stack, defect, { run, planted, request });
      runs.push(await attemptRun(request, { run, seed: request.seed, row }, work));
    }
  }
  return runs;
}

async function tryDefect(
  stack: ChaosStack,
  defect: PlantedDefect,
  { run, planted, request }: { run: string; planted: boolean; request: CampaignRequest },
): Promise<RunResult> {
  stack.orders.defects(planted ? [defect.name] : []);
  const provoked = defect.provoke({ stack, run, seed: request.seed, planted });
  const evidence = await provoked.finally(() => stack.orders.defects([]));
  await defect.repair?.(stack);
  const result = toResult(evidence, defect, planted, request.seed);
  const seen = [...new Set(check(evidence).map(({ invariant }) => invariant))].join(', ');
  const verdict = result.violations.length > 0 ? 'NOT AS IT MUST BE' : 'as it must be';
  request.progress(`${run}: ${seen === '' ? 'green' : `red on ${seen}`}, ${verdict}`);
  for (const violation of result.violations) request.progress(`    ${violation.invariant} ${violation.what}`);
  return result;
}

function rowOf({ name }: PlantedDefect, planted: boolean): string {
  return planted ? `planted: ${name}` : 'controls';
}

/** Here a violation is what speaks against the checker: red without a defect, or not red where it had to be. */
function toResult(evidence: Evidence, defect: PlantedDefect, planted: boolean, seed: number): RunResult {
  const found = check(evidence);
  const isSeen = found.some(({ invariant }) => defect.breaks.includes(invariant as Invariant));
  const blind = {
    invariant: defect.breaks[0] ?? 'I1',
    run: evidence.run,
    about: defect.name,
    what: `the defect was planted and ${defect.breaks.join(' or ')} saw nothing`,
  };
  return {
    run: evidence.run,
    seed,
    row: rowOf(defect, planted),
    faults: planted ? 1 : 0,
    landed: planted && isSeen ? 1 : 0,
    violations: planted ? (isSeen ? [] : [blind]) : found,
    recoveries: [],
  };
}
