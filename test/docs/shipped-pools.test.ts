import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig, poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import { afterAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { readDocument } from './read-markdown.ts';

const EXAMPLE = 'millrace.config.example.yaml';
const MANIFEST = 'infra/k8s/config.yaml';
const NAME = 'millrace.config.yaml';

const directory = mkdtempSync(join(tmpdir(), 'millrace-pools-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  [EXAMPLE, () => readDocument(EXAMPLE)],
  [MANIFEST, () => fileIn(readDocument(MANIFEST))],
])('no models of %s that their vendor limits apart share limits that headers correct', (_, text) => {
  const config = load(text());
  const targetsByPool = Map.groupBy(targetsOf(config), (target) => poolOf(config.pools, target));
  const limited = [...config.pools.values()].filter(({ limits }) => Object.keys(limits).length > 0);
  expect(limited.length).toBeGreaterThan(1);
  for (const { name, limits } of limited) {
    const targets = targetsByPool.get(name) ?? [];
    if (limits.fixed !== true) expect({ name, targets }).toEqual({ name, targets: targets.slice(0, 1) });
  }
});

test(`every target of a route has limits in ${MANIFEST}`, () => {
  const config = load(fileIn(readDocument(MANIFEST)));
  for (const target of targetsOf(config)) {
    expect(config.pools.get(poolOf(config.pools, target))?.limits).toMatchObject({
      requests: expect.any(Number) as number,
    });
  }
});

/** The configuration in a ConfigMap. */
function fileIn(manifest: string): string {
  for (const document of parseAllDocuments(manifest)) {
    const text = document.getIn(['data', NAME]);
    if (typeof text === 'string') return text;
  }
  throw new Error(`${MANIFEST} has no ${NAME}`);
}

function load(text: string): Config {
  writeFileSync(join(directory, NAME), text);
  const addresses = { DATABASE_URL: 'postgres://127.0.0.1/millrace', REDIS_URL: 'redis://127.0.0.1:6379' };
  return loadConfig({ ...addresses, MILLRACE_CONFIG: NAME }, directory);
}

/** All that the routes name, each once. */
function targetsOf({ routes }: Config): string[] {
  const targets = [...routes.values()].flatMap(({ targets, fallback, degraded }) => [
    ...targets.map(({ target }) => target),
    ...fallback,
    ...(degraded.kind === 'use' ? [degraded.target] : []),
  ]);
  return [...new Set(targets)];
}
