import { setTimeout as pause } from 'node:timers/promises';
import type { CampaignRequest, RunResult } from './campaign.ts';

type Described = Pick<RunResult, 'run' | 'seed' | 'row'>;

/** A run that could not be carried out or judged is a violation like any other, and the runs after it go on. */
export async function attemptRun(
  request: CampaignRequest,
  described: Described,
  work: () => Promise<RunResult>,
): Promise<RunResult> {
  const late = new AbortController();
  try {
    return await Promise.race([
      work(),
      pause(ENDS_WITHIN_MS, undefined, { signal: late.signal }).then(() => {
        throw new Error(`it was still under way after ${ENDS_WITHIN_MS / 60_000} minutes`);
      }),
    ]);
  } catch (error) {
    return broken(request, described, error);
  } finally {
    late.abort();
  }
}

/** More than any run takes with all its patience; a whole part has as long as it needs. */
const ENDS_WITHIN_MS = 12 * 60_000;

/** Carries out parts of a campaign at the same time; a part whose stack breaks takes none of the others with it. */
export async function attemptParts(
  request: CampaignRequest,
  parts: readonly { name: string; work: () => Promise<RunResult[]> }[],
): Promise<RunResult[]> {
  const results = await Promise.all(
    parts.map(async ({ name, work }) => {
      try {
        return await work();
      } catch (error) {
        return [broken(request, { run: name, seed: request.seed, row: name }, error)];
      }
    }),
  );
  return results.flat();
}

function broken(request: CampaignRequest, described: Described, error: unknown): RunResult {
  const { run } = described;
  const what = `broke off: ${error instanceof Error ? error.message : String(error)}`;
  request.progress(`${run} ${error instanceof Error ? (error.stack ?? what) : what}`);
  const violation = { invariant: 'programme', run, about: run, what };
  return { ...described, faults: 0, landed: 0, violations: [violation], recoveries: [] };
}
