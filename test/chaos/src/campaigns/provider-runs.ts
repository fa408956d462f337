import { seededRandom } from '../seeded-random.ts';
import { isSelected } from './campaign.ts';
import type { CampaignRequest } from './campaign.ts';
import { providerFaults } from './provider-fault-kinds.ts';
import type { ProviderFault } from './provider-fault-kinds.ts';

/** The dialects in which the product talks to providers, each with a model of the simulator. */
export const dialects = [
  { kind: 'openai', model: 'gpt-6-luna' },
  { kind: 'anthropic', model: 'claude-haiku-5-5' },
  { kind: 'openai_compatible', model: 'gpt-4.1-mini' },
] as const;
export type Dialect = (typeof dialects)[number];

/** A fault at a share of the calls to a provider of one dialect. */
export interface ProviderRun {
  run: string;
  fault: ProviderFault;
  share: number;
  dialect: Dialect['kind'];
  seed: number;
}

/** Every fault × share × seed, in an order that the first seed determines. */
export function providerRuns(request: Pick<CampaignRequest, 'seed' | 'seeds' | 'only'>): ProviderRun[] {
  const planned: ProviderRun[] = [];
  for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
    for (const fault of providerFaults) {
      for (const share of [1, 0.2]) {
        const run = `${fault.name}-${share * 100}-s${seed}`;
        const dialect = dialectOf(fault.name, share, seed);
        if (isSelected(request, run)) planned.push({ run, fault, share, dialect, seed });
      }
    }
  }
  return seededRandom(request.seed).shuffle(planned);
}

/** By the run's name alone; two seeds meet every dialect. */
function dialectOf(fault: string, share: number, seed: number): Dialect['kind'] {
  const place = seededRandom(fault).between(0, dialects.length - 1) + (share === 1 ? 0 : 1) + seed;
  return (dialects[place % dialects.length] ?? dialects[0]).kind;
}
