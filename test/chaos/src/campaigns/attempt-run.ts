import type { CampaignRequest, RunResult } from './campaign.ts';

/** A run that could not be carried out or judged is a violation like any other, and the runs after it go on. */
export async function attemptRun(
  request: CampaignRequest,
  { run, seed, row }: Pick<RunResult, 'run' | 'seed' | 'row'>,
  work: () => Promise<RunResult>,
): Promise<RunResult> {
  try {
    return await work();
  } catch (error) {
    const what = `the run broke off: ${error instanceof Error ? error.message : String(error)}`;
    request.progress(`${run}: ${error instanceof Error ? (error.stack ?? what) : what}`);
    const violation = { invariant: 'programme', run, about: run, what };
    return { run, seed, row, faults: 0, landed: 0, violations: [violation], recoveries: [] };
  }
}

/** Carries out parts of a campaign at the same time; a part whose stack breaks takes none of the others with it. */
export async function attemptParts(
  request: CampaignRequest,
  parts: readonly { name: string; work: () => Promise<RunResult[]> }[],
): Promise<RunResult[]> {
  const results = await Promise.all(
    parts.map(async ({ name, work }) => {
      let done: RunResult[] = [];
      const attempt = { run: name, seed: request.seed, row: name };
      const whole = await attemptRun(request, attempt, async () => {
        done = await work();
        return { ...attempt, faults: 0, landed: 0, violations: [], recoveries: [] };
      });
      return whole.violations.length > 0 ? [whole] : done;
    }),
  );
  return results.flat();
}
