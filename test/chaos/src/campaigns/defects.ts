import { check } from '../checker/check.ts';
import type { Invariant } from '../checker/check.ts';
import type { Evidence } from '../observer/evidence.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
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
    const stack = await startChaosStack({ workers: 2, configuration: defectsConfiguration });
    try {
      const runs: RunResult[] = [];
      for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
        runs.push(...(await tryDefects(stack, plantedDefects, { ...request, seed })));
      }
      return { campaign: 'defects', runs, tookMs: performance.now() - startedAt };
    } finally {
      await stack.end();
    }
  },
};

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
    if (request.only !== null && !defect.name.includes(request.only)) continue;
    for (const planted of [false, true]) {
      const run = `defect-${defect.name}-${planted ? 'planted' : 'control'}-s${request.seed}`;
      stack.orders.defects(planted ? [defect.name] : []);
      const evidence = await defect.provoke({ stack, run, seed: request.seed, planted });
      stack.orders.defects([]);
      await defect.repair?.(stack);
      const result = toResult(evidence, defect, planted, request.seed);
      runs.push(result);
      const seen = [...new Set(check(evidence).map(({ invariant }) => invariant))].join(', ');
      const verdict = result.violations.length > 0 ? 'NOT AS IT MUST BE' : 'as it must be';
      request.progress(`${run}: ${seen === '' ? 'green' : `red on ${seen}`}, ${verdict}`);
      for (const violation of result.violations)
        request.progress(`    ${violation.invariant} ${violation.what}`);
    }
  }
  return runs;
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
    row: planted ? `planted: ${defect.name}` : 'controls',
    faults: planted ? 1 : 0,
    landed: planted && isSeen ? 1 : 0,
    violations: planted ? (isSeen ? [] : [blind]) : found,
    recoveries: [],
  };
}
