import { createProviders } from '@millrace/calls';
import { loadConfig } from '@millrace/config';
import type { RouteConfig } from '@millrace/config';
import type { StepRequest } from '@millrace/contracts';
import { expect, it } from 'vitest';
import { createLanePlacer } from './lane-placer.ts';

const target = 'openai/gpt-6-luna';
const now = Date.parse('2026-11-21T12:00:00Z');
const route: RouteConfig = { targets: [{ target, weight: 1 }], fallback: [], degraded: { kind: 'wait' } };
const routes: ReadonlyMap<string, RouteConfig> = new Map([
  ['cheap', route],
  ['private', { ...route, batch: false }],
]);

function place(change: { route?: string; lane?: 'auto' | 'batch'; batchAllowed?: boolean }) {
  const config = loadConfig(
    { DATABASE_URL: 'postgres://x', REDIS_URL: 'redis://127.0.0.1:1', OPENAI_API_KEY: 'sk-test' },
    '/nonexistent',
  );
  const placer = createLanePlacer({
    ...createProviders(config),
    durations: {
      refresh: () => Promise.resolve(),
      expectedMs: () => 3_600_000,
      marginMs: (_target, leastMs) => leastMs,
    },
    batching: new Set(['openai']),
    routes,
    collectAgeMs: 60_000,
    marginMs: 900_000,
    callTimeoutMs: 60_000,
    now: () => now,
  });
  const request = { kind: 'call', route: change.route ?? null, messages: [], stream: false } as unknown;
  return placer.place(
    { lane: change.lane ?? 'auto', deadlineAt: now + 86_400_000, batchAllowed: change.batchAllowed ?? true },
    request as StepRequest,
    target,
  );
}

it('places a call that may wait in the batch lane, and leaves it in time', () => {
  expect(place({ route: 'cheap' })).toMatchObject({
    lane: 'batch',
    reason: 'deadline_allows',
    escapeAt: now + 86_400_000 - 900_000,
  });
});

it.each(['auto', 'batch'] as const)('keeps what is forbidden out of the batch lane, asked %s', (lane) => {
  expect(place({ lane, route: 'private' }).lane).not.toBe('batch');
  expect(place({ lane, route: 'cheap', batchAllowed: false }).lane).not.toBe('batch');
  expect(place({ lane: 'batch', route: 'private' }).reason).toBe('forbidden_by_route');
  expect(place({ lane: 'batch', batchAllowed: false }).reason).toBe('forbidden_by_tenant');
});
