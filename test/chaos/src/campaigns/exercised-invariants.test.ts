import { expect, it } from 'vitest';
import { invariants } from '../checker/check.ts';
import { showViolations } from '../report.ts';
import { isExercised } from './exercised-invariants.ts';

const campaigns = ['crash-points', 'defects', 'hostile', 'poison', 'provider', 'random-kills', 'stores'];

it('has a campaign for every invariant', () => {
  for (const name of Object.keys(invariants)) {
    expect([name, campaigns.some((campaign) => isExercised(campaign, name))]).toEqual([name, true]);
  }
});

it('shows a dash where nothing could be violated, and what was violated in every case', () => {
  expect(showViolations('hostile', 'I3', {})).toBe('–');
  expect(showViolations('hostile', 'I11', {})).toBe('0');
  expect(showViolations('hostile', 'I3', { I3: 2 })).toBe('2');
  expect(showViolations('provider', 'I12', {})).toBe('–');
});
