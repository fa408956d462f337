import { expect, it } from 'vitest';
import { configFileSchema } from './config-file.ts';
import type { ProviderConfig } from './config.ts';
import { readRoutes } from './read-routes.ts';

const provider = (name: 'openai' | 'anthropic'): ProviderConfig => ({
  name,
  kind: name,
  baseUrl: null,
  apiKey: null,
  webhookSecret: null,
  maxConcurrentCalls: 1,
  minSpacingMs: 0,
  prices: {},
});
const providers = new Map([
  ['openai', provider('openai')],
  ['anthropic', provider('anthropic')],
]);

function read(routes: unknown) {
  const problems: string[] = [];
  const file = configFileSchema.parse({ routes });
  return { routes: readRoutes(file, providers, problems), problems };
}

const targets = [{ target: 'openai/a' }];

it('reads what a route does while all its targets are down', () => {
  const { routes, problems } = read({
    plain: { targets },
    strict: { targets, degraded: 'fail' },
    cheap: { targets, degraded: { use: 'anthropic/small' } },
    old: { targets, degraded: { stale_for: '1h' } },
  });
  expect(problems).toEqual([]);
  const degraded = (name: string) => routes.get(name)?.degraded;
  expect(degraded('plain')).toEqual({ kind: 'wait' });
  expect(degraded('strict')).toEqual({ kind: 'fail' });
  expect(degraded('cheap')).toEqual({ kind: 'use', target: 'anthropic/small' });
  expect(degraded('old')).toEqual({ kind: 'stale', forMs: 3_600_000 });
});

it('refuses routes that cannot work as they are meant', () => {
  const { problems } = read({
    lost: { targets: [{ target: 'nobody/a' }], fallback: ['nowhere/b'], degraded: { use: 'none/c' } },
    double: { targets, fallback: ['openai/a'] },
    circle: { targets, degraded: { use: 'openai/a' } },
    vague: { targets, degraded: { stale_for: 'a while' } },
  });
  expect(problems).toEqual([
    'routes.lost: nobody/a names the provider "nobody", which is not configured',
    'routes.lost: nowhere/b names the provider "nowhere", which is not configured',
    'routes.lost: none/c names the provider "none", which is not configured',
    'routes.double: openai/a is named twice',
    "routes.circle.degraded.use: openai/a is one of the route's own targets, so it would be down too",
    'routes.vague.degraded.stale_for: "a while" is not a duration',
  ]);
});
