import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { batchPoints } from './batch-crashes.ts';
import { clientBatchPoints } from './client-batch-crashes.ts';
import { points } from './crash-runs.ts';
import { plantedDefects } from './planted-defects.ts';

const repository = resolve(import.meta.dirname, '../../../..');

/** Every `.ts` file of apps and libs but the tests. */
function productFiles(): string[] {
  return ['apps', 'libs'].flatMap((root) =>
    readdirSync(join(repository, root), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.includes('node_modules') && !path.endsWith('.test.ts'))
      .map((path) => readFileSync(join(repository, root, path), 'utf8')),
  );
}

function namedPoints(): string[] {
  const calls = productFiles().flatMap((text) => [...text.matchAll(/\bcrashPoint\((.*)/g)]);
  const names = calls.flatMap(([, parameters = '']) => [...parameters.matchAll(/'([a-z-]+\.[a-z-]+)'/g)]);
  return [...new Set(names.map(([, name = '']) => name))].toSorted();
}

it('crashes at every point that the product names, and at no other', () => {
  const known = [...[...points, ...batchPoints].map(({ name }) => name), ...clientBatchPoints];
  expect(namedPoints()).toEqual(known.toSorted());
});

it('plants every defect that the product knows, and no other', () => {
  const asked = productFiles().flatMap((text) => [...text.matchAll(/\bhasDefect\('([a-z-]+)'\)/g)]);
  expect([...new Set(asked.map(([, name]) => name))].toSorted()).toEqual(
    plantedDefects.map(({ name }) => name).toSorted(),
  );
});
