import { configFileSchema, loadConfig, settings } from '@millrace/config';
import type { Setting } from '@millrace/config';
import { defaultRequestLimits } from '@millrace/contracts';
import { parse } from 'yaml';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { codeTexts, readDocument, repositoryRoot, sectionOf, tableRows } from './read-markdown.ts';

const document = readDocument('docs/configuration.md');
const EXAMPLE = 'millrace.config.example.yaml';

test('docs/configuration.md lists exactly the settings, with their defaults and who reads them', () => {
  const documented = tableRows(sectionOf(document, '## Environment')).map(([name, fallback, readBy]) => ({
    name,
    default: fallback,
    readBy,
  }));
  const known = Object.entries<Setting>(settings).map(([name, setting]) => ({
    name,
    default: setting.default === null || setting.default === '' ? '—' : setting.default,
    readBy: setting.readBy.join(', '),
  }));
  expect(documented).toEqual(known);
});

test('docs/configuration.md names every key of the configuration file, and the example has every one', () => {
  const keys = keysOf(z.toJSONSchema(configFileSchema, { io: 'input' }));
  expect(keys.size).toBeGreaterThan(20);
  const named = codeTexts(sectionOf(document, '## The file'));
  expect([...keys].filter((key) => !named.has(key))).toEqual([]);
  const example = readDocument(EXAMPLE);
  expect([...keys].filter((key) => !new RegExp(`^[ #-]*${key}:`, 'm').test(example))).toEqual([]);
});

test('the example file can be used, and its retry policy and limits are the defaults', () => {
  const addresses = { DATABASE_URL: 'postgres://127.0.0.1/millrace', REDIS_URL: 'redis://127.0.0.1:6379' };
  const plain = loadConfig(addresses, repositoryRoot);
  const config = loadConfig({ ...addresses, MILLRACE_CONFIG: EXAMPLE }, repositoryRoot);
  expect(config.retry).toEqual(plain.retry);
  expect(config.limits).toEqual(defaultRequestLimits);
  expect(config.routes.get('cheap')).toEqual(plain.routes.get('cheap'));
  expect(config.routes.get('quality')).toEqual(plain.routes.get('quality'));
  expect(config.providers.size).toBeGreaterThan(plain.providers.size);
  expect(parse(readDocument(EXAMPLE))).toMatchObject({ retry: {}, limits: {}, providers: {}, routes: {} });
});

/** The fixed names of a JSON Schema's objects at every level; names that a user chooses have no place there. */
function keysOf(schema: unknown): Set<string> {
  const keys = new Set<string>();
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return;
    if ('properties' in value && typeof value.properties === 'object' && value.properties !== null) {
      for (const name of Object.keys(value.properties)) keys.add(name);
    }
    for (const member of Object.values(value)) walk(member);
  };
  walk(schema);
  return keys;
}
