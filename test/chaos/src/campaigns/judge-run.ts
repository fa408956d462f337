import { check } from '../checker/check.ts';
import { recoveryMs } from '../checker/check-recovery.ts';
import type { Evidence } from '../observer/evidence.ts';
import { gatherEvidence } from '../stack/gather-evidence.ts';
import { keepEvidence } from '../stack/keep-evidence.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import type { CampaignRequest, RunResult } from './campaign.ts';

/** Waits for the end of a run, lets the checker judge it, and says so. */
export async function judgeRun(
  stack: ChaosStack,
  request: CampaignRequest,
  run: {
    run: string;
    seed: number;
    row: string;
    limitMs: number;
    liveText: Evidence['liveText'];
    expectsWebhooks?: boolean;
    ownsBatches?: boolean;
  },
): Promise<RunResult> {
  const evidence = await gatherEvidence(stack, run.run, {
    limitMs: run.limitMs,
    expectsWebhooks: run.expectsWebhooks ?? true,
    liveText: run.liveText,
    ownsBatches: run.ownsBatches ?? false,
  });
  const violations = check(evidence);
  const own = evidence.faults.filter((fault) => fault.run === run.run);
  const recoveries = own.flatMap((fault) => {
    const ms = fault.landed ? recoveryMs(fault, evidence) : null;
    return ms === null ? [] : [{ target: fault.target, ms }];
  });
  const landed = own.filter((fault) => fault.landed).length;
  const verdict = violations.length === 0 ? 'ok' : `${violations.length} VIOLATIONS`;
  request.progress(
    `${run.run}: ${evidence.jobs.length} jobs, ${landed} of ${own.length} faults landed, recovered in ${recoveries.map(({ ms }) => ms).join(', ')} ms, ${verdict}`,
  );
  for (const violation of violations.slice(0, 12)) {
    request.progress(`    ${violation.invariant} ${violation.about} ${violation.what}`);
  }
  if (violations.length > 0) {
    request.progress(`    what was seen is kept in ${keepEvidence(evidence, violations, stack.logs())}`);
  }
  return { run: run.run, seed: run.seed, row: run.row, faults: own.length, landed, violations, recoveries };
}
