import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createFindUnembeddable } from './find-unembeddable.ts';
import { loadConfig } from './load-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('finds the models and the routes that would bring a call for vectors to Anthropic', () => {
  writeFileSync(
    join(directory, 'millrace.config.yaml'),
    `routes:
  vectors: { targets: [{ target: openai/text-embedding-3-small }] }
  mixed: { targets: [{ target: openai/gpt-6-luna }], fallback: [anthropic/claude-haiku-5-5] }
`,
  );
  const config = loadConfig({ DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' }, directory);
  const find = createFindUnembeddable(config);
  const model = (name: string) => find({ route: undefined, model: name });
  const route = (name: string) => find({ route: name, model: undefined });
  expect(model('openai/text-embedding-3-small')).toBeNull();
  expect(model('anthropic/claude-haiku-5-5')).toBe('the provider "anthropic" does not support embeddings');
  expect(route('vectors')).toBeNull();
  expect(route('mixed')).toContain('target anthropic/claude-haiku-5-5 of the route');
  // Somebody else tells of these.
  expect(model('unknown/x')).toBeNull();
  expect(route('unknown')).toBeNull();
});
