import type { Invariant } from '../checker/check.ts';

const always = ['I1', 'I2', 'I3', 'I4', 'I5', 'I9', 'I10', 'I11'] as const;

/**
 * The invariants that a campaign can violate at all: what nobody provokes must not be shown as held. I7 and I8 need refusals and an outage
 * of the provider, I12 a fault for whose target a time is set, I15 batches; `hostile` asks the API directly and the checker
 * sees nothing of it.
 */
const exercised: Readonly<Record<string, readonly Invariant[]>> = {
  'crash-points': [...always, 'I12', 'I15'],
  defects: [...always, 'I7', 'I12', 'I15'],
  hostile: ['I9', 'I11'],
  poison: [...always, 'I12'],
  provider: [...always, 'I7', 'I8'],
  'random-kills': [...always, 'I12'],
  stores: [...always, 'I12'],
};

export function isExercised(campaign: string, invariant: string): boolean {
  return exercised[campaign]?.some((each) => each === invariant) ?? false;
}
