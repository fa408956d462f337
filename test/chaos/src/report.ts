import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { invariants } from './checker/check.ts';
import type { CampaignResult } from './campaigns/campaign.ts';
import { isExercised } from './campaigns/exercised-invariants.ts';
import { summarise } from './print-summary.ts';
import type { SummaryRow } from './print-summary.ts';

/** What is kept of a campaign, so that the page can be written from several runs of the command. */
interface KeptResult {
  campaign: string;
  at: string;
  commit: string;
  command: string;
  runs: number;
  landed: number;
  tookMs: number;
  rows: SummaryRow[];
  targets: SummaryRow[];
  violations: Record<string, number>;
  failed: { run: string; seed: number; what: string }[];
}

const repository = resolve(import.meta.dirname, '../../..');
const results = join(repository, 'test/chaos/results');
const page = join(repository, 'docs/reliability.md');
const BEGIN = '<!-- Written by npm run chaos -- --report; edits between these marks are lost. -->';
const END = '<!-- End of what is written. -->';

/** Keeps a campaign's figures in test/chaos/results. */
export function keepResult(result: CampaignResult, command: string): void {
  mkdirSync(results, { recursive: true });
  const violations = result.runs.flatMap((run) => run.violations);
  const kept: KeptResult = {
    campaign: result.campaign,
    at: new Date().toISOString(),
    commit: commit(),
    command,
    runs: result.runs.length,
    landed: result.runs.reduce((sum, run) => sum + run.landed, 0),
    tookMs: Math.round(result.tookMs),
    rows: [...Map.groupBy(result.runs, (run) => run.row)]
      .map(([row, runs]) => summarise(row, runs))
      .toSorted((a, b) => (a.row < b.row ? -1 : 1)),
    targets: byTarget(result),
    violations: Object.fromEntries(
      [...Map.groupBy(violations, ({ invariant }) => invariant)].map(([name, list]) => [name, list.length]),
    ),
    failed: result.runs
      .filter((run) => run.violations.length > 0)
      .map(({ run, seed, violations: [first] }) => ({
        run,
        seed,
        what: `${first?.invariant} ${first?.about} ${first?.what}`,
      })),
  };
  writeFileSync(join(results, `${result.campaign}.json`), `${JSON.stringify(kept, null, 2)}\n`);
}

/** Writes the figures that are kept into docs/reliability.md, between its marks. */
export function writeReport(): void {
  const kept = readdirSync(results)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(results, name), 'utf8')) as KeptResult);
  const text = existsSync(page) ? readFileSync(page, 'utf8') : `# Reliability\n\n${BEGIN}\n${END}\n`;
  const [before = '', rest = ''] = text.split(BEGIN);
  const after = rest.split(END)[1] ?? '';
  writeFileSync(page, `${before}${BEGIN}\n\n${describe(kept)}\n${END}${after}`);
  execFileSync(join(repository, 'node_modules/.bin/prettier'), ['--write', page, results], {
    stdio: 'ignore',
  });
}

function describe(kept: readonly KeptResult[]): string {
  return [
    '| campaign | runs | faults landed | violations | took | command | commit |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...kept.map(
      (each) =>
        `| ${each.campaign} | ${each.runs} | ${each.landed} | ${sum(each)} | ${Math.round(each.tookMs / 60_000)} min | \`${each.command}\` | \`${each.commit}\`, ${each.at.slice(0, 10)} |`,
    ),
    '',
    '### Violations by invariant',
    '',
    `| invariant | ${kept.map(({ campaign }) => campaign).join(' | ')} |`,
    `| --- | ${kept.map(() => '---').join(' | ')} |`,
    ...allInvariants(kept).map(
      ([name, title]) =>
        `| ${name}: ${title} | ${kept.map((each) => showViolations(each.campaign, name, each.violations)).join(' | ')} |`,
    ),
    '',
    '–: the campaign does nothing that could violate it, or nobody looks there. In `hostile`, I9 is the private addresses alone.',
    '',
    '### First progress after a fault (I12), in ms',
    '',
    'From the end of a fault to the first sign of life of any job of its run, not to the recovery of what the fault had interrupted: only in',
    '`crash-points` a run has one job, or one batch. Faults after which nothing was left to do, or for an API nobody waited for, have no figure.',
    'No limit is set for the targets `provider` and `poisoned worker`: their times are shown and not judged.',
    '',
    '| campaign | hit | faults | median | worst |',
    '| --- | --- | --- | --- | --- |',
    ...kept.flatMap((each) =>
      each.targets.map(
        (row) =>
          `| ${each.campaign} | ${row.row} | ${row.runs} | ${row.medianMs ?? '–'} | ${row.worstMs ?? '–'} |`,
      ),
    ),
    ...kept.flatMap((each) => [
      '',
      `### ${each.campaign}`,
      '',
      '| what | runs | landed | violations | median ms | worst ms |',
      '| --- | --- | --- | --- | --- | --- |',
      ...each.rows.map(
        (row) =>
          `| ${row.row} | ${row.runs} | ${row.landed} | ${row.violations} | ${row.medianMs ?? '–'} | ${row.worstMs ?? '–'} |`,
      ),
      ...(each.failed.length === 0
        ? []
        : [
            '',
            'Runs that violated something:',
            '',
            ...each.failed.map(({ run, seed, what }) => `- \`${run}\` (seed ${seed}): ${what}`),
          ]),
    ]),
    '',
  ].join('\n');
}

/** The count of an invariant's violations in a campaign, or a dash where it was not put to the test. */
export function showViolations(
  campaign: string,
  invariant: string,
  violations: Readonly<Record<string, number>>,
): string {
  const count = violations[invariant];
  if (count !== undefined) return String(count);
  return isExercised(campaign, invariant) || !(invariant in invariants) ? '0' : '–';
}

function allInvariants(kept: readonly KeptResult[]): [string, string][] {
  const known = Object.entries(invariants).map(([name, { title }]): [string, string] => [name, title]);
  const names = new Set(known.map(([name]) => name));
  const others = new Set(
    kept.flatMap((each) => Object.keys(each.violations)).filter((name) => !names.has(name)),
  );
  return [...known, ...[...others].map((name): [string, string] => [name, ''])];
}

function sum({ violations }: KeptResult): number {
  return Object.values(violations).reduce((total, count) => total + count, 0);
}

function byTarget(result: CampaignResult): SummaryRow[] {
  const recoveries = result.runs.flatMap((run) => run.recoveries.map((recovery) => ({ run, recovery })));
  return [...Map.groupBy(recoveries, ({ recovery }) => recovery.target)].map(([target, list]) =>
    summarise(
      target,
      list.map(({ run, recovery }) => ({ ...run, landed: 1, violations: [], recoveries: [recovery] })),
    ),
  );
}

function commit(): string {
  try {
    const options = { cwd: repository, encoding: 'utf8' } as const;
    const name = execFileSync('git', ['rev-parse', '--short', 'HEAD'], options).trim();
    const isChanged =
      execFileSync('git', ['status', '--porcelain', 'apps', 'libs', 'infra'], options).trim() !== '';
    return isChanged ? `${name} and changes` : name;
  } catch {
    return 'unknown';
  }
}
