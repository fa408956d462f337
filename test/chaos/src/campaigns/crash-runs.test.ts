import { expect, it } from 'vitest';
import { crashRuns } from './crash-runs.ts';

const progress = (): void => undefined;
const request = { only: null, progress, mayGoOn: () => true };

it('plans for a seed what it planned for it among others', () => {
  const all = crashRuns({ ...request, seed: 1, seeds: 5 });
  const again = crashRuns({ ...request, seed: 3, seeds: 1 });
  const byName = <Run extends { run: string }>(runs: readonly Run[]): Run[] =>
    runs.toSorted((a, b) => (a.run < b.run ? -1 : 1));
  expect(byName(again)).toEqual(byName(all.filter(({ seed }) => seed === 3)));
  expect(new Set(all.map(({ passing }) => passing)).size).toBeGreaterThan(5);
});

it('plans the same order for the same seed', () => {
  const plan = (): string[] => crashRuns({ ...request, seed: 3, seeds: 1 }).map(({ run }) => run);
  expect(plan()).toEqual(plan());
});

it('selects by the name that is printed, also of a second try', () => {
  const names = (only: string): string[] =>
    crashRuns({ ...request, seed: 1, seeds: 3, only }).map(({ run }) => run);
  expect(names('call.after-sent-chain-s2')).toEqual(['call.after-sent-chain-s2']);
  expect(names('call.after-sent-chain-s2-try2')).toEqual(['call.after-sent-chain-s2']);
  expect(names('call.after-sent-chain-s4')).toEqual([]);
});
