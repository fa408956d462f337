import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createFindUnsampled } from './find-unsampled.ts';
import { loadConfig } from './load-config.ts';

const directory = mkdtempSync(join(tmpdir(), 'millrace-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

it('finds the models and the routes that could only be answered by Anthropic', () => {
  writeFileSync(
    join(directory, 'millrace.config.yaml'),
    `routes:
  mixed: { targets: [{ target: anthropic/claude-haiku-5-5 }], fallback: [openai/gpt-6-luna] }
  own: { targets: [{ target: anthropic/claude-haiku-5-5 }], fallback: [anthropic/claude-sonnet-5-5] }
`,
  );
  const config = loadConfig({ DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' }, directory);
  const find = createFindUnsampled(config);
  const model = (name: string) => find({ route: undefined, model: name });
  const route = (name: string) => find({ route: name, model: undefined });
  expect(model('openai/gpt-6-luna')).toBeNull();
  expect(model('anthropic/claude-haiku-5-5')).toContain('the model is Anthropic');
  expect(route('mixed')).toBeNull();
  expect(route('own')).toContain('every target of the route is Anthropic');
  expect(model('unknown/x')).toBeNull();
  expect(route('unknown')).toBeNull();
});
