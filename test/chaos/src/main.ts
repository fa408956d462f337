import { parseArgs } from 'node:util';
import { crashPoints } from './campaigns/crash-points.ts';
import { defects } from './campaigns/defects.ts';
import { hostile } from './campaigns/hostile.ts';
import { poison } from './campaigns/poison.ts';
import { providers } from './campaigns/provider-faults.ts';
import { randomKills } from './campaigns/random-kills.ts';
import { stores } from './campaigns/stores.ts';
import type { Campaign } from './campaigns/campaign.ts';
import { keepResult, writeReport } from './report.ts';
import { printSummary } from './print-summary.ts';

/** Campaigns of one group run at the same time: theirs is mostly waiting, and recovery times are not judged in them. */
const groups: readonly (readonly Campaign[])[] = [
  [hostile],
  [poison, defects],
  [randomKills],
  [crashPoints],
  [stores],
  // Last: of what is cut off by --minutes it has the most to spare.
  [providers],
];
const campaigns = groups.flat();

const { values } = parseArgs({
  options: {
    campaign: { type: 'string', multiple: true, default: [] },
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    minutes: { type: 'string' },
    report: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const wanted = campaigns.filter(({ name }) => values.campaign.length === 0 || values.campaign.includes(name));
const unknown = values.campaign.filter((name) => !campaigns.some((campaign) => campaign.name === name));
if (values.help || unknown.length > 0) {
  console.log(
    'npm run chaos -- [--campaign NAME]… [--seeds N] [--seed FIRST] [--only TEXT] [--minutes N] [--report]\n',
  );
  for (const { name, seeds, describes } of campaigns) {
    console.log(`  ${name.padEnd(14)} ${describes} (${seeds} seeds by default)`);
  }
  process.exit(unknown.length > 0 ? 2 : 0);
}
const beganAt = performance.now();
const progress = (line: string): void => {
  console.log(`${((performance.now() - beganAt) / 1_000).toFixed(0).padStart(5)} s  ${line}`);
};
const mayGoOn = (): boolean =>
  values.minutes === undefined || performance.now() - beganAt < Number(values.minutes) * 60_000;
let violations = 0;
let runs = 0;
// A stack that gives up, or a socket that nobody listens to, must cost one run and not the hours' work of the others.
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    violations += 1;
    progress(`${event}: ${error instanceof Error ? error.stack : String(error)}`);
  });
}
for (const group of groups) await Promise.all(group.filter((each) => wanted.includes(each)).map(runCampaign));
if (runs === 0 && violations === 0) {
  const { only } = values;
  console.error(
    `nothing was run${only === undefined ? '' : `: these campaigns and seeds have no run "${only}"`}`,
  );
  process.exit(2);
}
process.exit(violations > 0 ? 1 : 0);

/** Each campaign's figures are kept as soon as it is over. */
async function runCampaign(campaign: Campaign): Promise<void> {
  progress(`campaign ${campaign.name}`);
  const seeds = values.seeds === undefined ? campaign.seeds : Number(values.seeds);
  try {
    const result = await campaign.run({
      seeds,
      seed: Number(values.seed),
      only: values.only ?? null,
      progress,
      mayGoOn,
    });
    // What others ran is not to be replaced by nothing, and a table without rows says nothing.
    if (result.runs.length === 0) return progress(`campaign ${campaign.name} had no run to do`);
    runs += result.runs.length;
    printSummary(result);
    violations += result.runs.reduce((sum, run) => sum + run.violations.length, 0);
    if (!values.report) return;
    const options = `--campaign ${campaign.name} --seeds ${seeds} --seed ${values.seed}`;
    keepResult(
      result,
      `npm run chaos -- ${options}${values.only === undefined ? '' : ` --only ${values.only}`}`,
    );
    writeReport();
  } catch (error) {
    violations += 1;
    progress(`campaign ${campaign.name} broke off: ${error instanceof Error ? error.stack : String(error)}`);
  }
}
