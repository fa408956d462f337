import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createFindDimensions } from './find-dimensions.ts';
import { loadConfig } from './load-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('knows the numbers of a model, and of the largest model of a route', () => {
  writeFileSync(
    join(directory, 'millrace.config.yaml'),
    `routes:
  vectors: { targets: [{ target: openai/text-embedding-3-small }] }
  spare: { targets: [{ target: openai/text-embedding-3-small }], fallback: [openai/text-embedding-3-large] }
`,
  );
  const config = loadConfig({ DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' }, directory);
  const find = createFindDimensions(config);
  expect(find({ route: undefined, model: 'openai/text-embedding-3-large' })).toBe(3_072);
  expect(find({ route: undefined, model: 'openai/text-embedding-3-small' })).toBe(1_536);
  expect(find({ route: 'vectors', model: undefined })).toBe(1_536);
  expect(find({ route: 'spare', model: undefined })).toBe(3_072);
  expect(find({ route: undefined, model: 'openai/of-ones-own' })).toBeNull();
  expect(find({ route: 'unknown', model: undefined })).toBeNull();
});
