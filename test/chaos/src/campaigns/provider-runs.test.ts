import { expect, it } from 'vitest';
import { providerRuns } from './provider-runs.ts';

const all = providerRuns({ seed: 1, seeds: 2, only: null });

it('gives a run the same dialect, whatever else is run', () => {
  for (const run of all.slice(0, 20)) {
    expect(providerRuns({ seed: run.seed, seeds: 1, only: run.run })).toEqual([run]);
  }
});

it('meets every dialect with each fault in two seeds', () => {
  for (const [fault, runs] of Map.groupBy(all, (run) => run.fault.name)) {
    const met = new Set(runs.map(({ dialect }) => dialect));
    expect([fault, [...met].toSorted()]).toEqual([fault, ['anthropic', 'openai', 'openai_compatible']]);
  }
});

it('selects by the name that is printed, and nothing by one that is not', () => {
  const names = (only: string): string[] =>
    providerRuns({ seed: 1, seeds: 2, only })
      .map(({ run }) => run)
      .toSorted();
  expect(names('hang-20-s1')).toEqual(['hang-20-s1']);
  expect(names('hang')).toEqual(['hang-100-s1', 'hang-100-s2', 'hang-20-s1', 'hang-20-s2']);
  expect(names('no such run')).toEqual([]);
});
