import { invariants } from './checker/check.ts';
import type { CampaignResult, RunResult } from './campaigns/campaign.ts';
import { isExercised } from './campaigns/exercised-invariants.ts';

/** Prints a campaign's table: what was done, what landed, what was violated, how long recovery took. */
export function printSummary(result: CampaignResult): void {
  const rows = [...Map.groupBy(result.runs, (run) => run.row)].map(([row, runs]) => summarise(row, runs));
  console.log(`\n${result.campaign}: ${result.runs.length} runs in ${Math.round(result.tookMs / 1_000)} s`);
  console.table(Object.fromEntries(rows.map(({ row, ...rest }) => [row, rest])));
  const counts = new Map<string, number>(
    Object.keys(invariants).flatMap((name) => (isExercised(result.campaign, name) ? [[name, 0]] : [])),
  );
  for (const { invariant } of result.runs.flatMap((run) => run.violations)) {
    counts.set(invariant, (counts.get(invariant) ?? 0) + 1);
  }
  console.log([...counts].map(([invariant, count]) => `${invariant}: ${count}`).join('  '));
  for (const run of result.runs.filter((each) => each.violations.length > 0)) {
    console.log(`  seed ${run.seed}: ${run.run}`);
  }
}

/** One row of the table. */
export interface SummaryRow {
  row: string;
  runs: number;
  landed: number;
  violations: number;
  medianMs: number | null;
  worstMs: number | null;
}

export function summarise(row: string, runs: readonly RunResult[]): SummaryRow {
  const recoveries = runs.flatMap((run) => run.recoveries.map(({ ms }) => ms)).toSorted((a, b) => a - b);
  return {
    row,
    runs: runs.length,
    landed: runs.reduce((sum, run) => sum + run.landed, 0),
    violations: runs.reduce((sum, run) => sum + run.violations.length, 0),
    medianMs: recoveries[Math.floor((recoveries.length - 1) / 2)] ?? null,
    worstMs: recoveries.at(-1) ?? null,
  };
}
