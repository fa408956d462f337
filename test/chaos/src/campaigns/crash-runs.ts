import { seededRandom } from '../seeded-random.ts';
import { isSelected } from './campaign.ts';
import type { CampaignRequest } from './campaign.ts';
import { jobKinds, MAP_ITEMS } from './chaos-jobs.ts';
import type { JobKind } from './chaos-jobs.ts';

/** One crash that is to be made. */
export interface CrashRun {
  run: string;
  seed: number;
  point: string;
  target: 'api' | 'worker' | 'scheduler';
  kind: JobKind;
  /** At which passing of the point, for this job. */
  passing: number;
}

interface CrashPoint {
  name: string;
  target: CrashRun['target'];
  /** How often a job of each kind passes it for certain; a kind that is not named does not pass it. */
  passings: Partial<Record<JobKind, number>>;
}

const once = { call: 1, chain: 1, map_reduce: 1 };
const eachStep = { call: 1, chain: 3, map_reduce: MAP_ITEMS + 1 };
const eachAdvance = { call: 1, chain: 3, map_reduce: 2 };

/** Where `crashPoint(name, …)` stands in the product; a test compares the two. */
export const points: readonly CrashPoint[] = [
  { name: 'intake.before-commit', target: 'api', passings: once },
  { name: 'intake.after-commit', target: 'api', passings: once },
  { name: 'intake.after-enqueue', target: 'api', passings: once },
  { name: 'advance.step', target: 'worker', passings: { call: 1, chain: 3, map_reduce: MAP_ITEMS } },
  { name: 'advance.reduce', target: 'worker', passings: { map_reduce: 1 } },
  { name: 'advance.inserted', target: 'worker', passings: eachStep },
  { name: 'advance.after-commit', target: 'worker', passings: eachAdvance },
  { name: 'advance.after-wakes', target: 'worker', passings: eachAdvance },
  { name: 'call.after-claim', target: 'worker', passings: eachStep },
  { name: 'call.after-reserve', target: 'worker', passings: eachStep },
  { name: 'call.after-sent', target: 'worker', passings: eachStep },
  { name: 'call.mid-stream', target: 'worker', passings: { call: 8, chain: 24, map_reduce: 30 } },
  { name: 'call.after-answer', target: 'worker', passings: eachStep },
  { name: 'call.after-record', target: 'worker', passings: eachStep },
  { name: 'finish.before-deliveries', target: 'worker', passings: once },
  { name: 'finish.after-deliveries', target: 'worker', passings: once },
  { name: 'finish.after-commit', target: 'worker', passings: once },
  { name: 'webhook.before-post', target: 'worker', passings: once },
  { name: 'webhook.after-post', target: 'worker', passings: once },
  { name: 'webhook.after-record', target: 'worker', passings: once },
];

/** Every point × kind × seed in an order that the first seed determines. */
export function crashRuns(request: CampaignRequest): CrashRun[] {
  const runs: CrashRun[] = [];
  for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
    for (const point of points) {
      for (const kind of jobKinds) {
        const most = point.passings[kind];
        if (most === undefined) continue;
        const run = `${point.name}-${kind}-s${seed}`;
        if (!isSelected(request, run)) continue;
        const passing = seededRandom(run).between(1, most);
        runs.push({ run, seed, point: point.name, target: point.target, kind, passing });
      }
    }
  }
  return seededRandom(request.seed).shuffle(runs);
}
