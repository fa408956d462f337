import { expect, it } from 'vitest';
import type { RouteConfig } from './config.ts';
import { overlayRoutes } from './overlay-routes.ts';

const route: RouteConfig = {
  targets: [
    { target: 'openai/a', weight: 3 },
    { target: 'anthropic/b', weight: 1 },
  ],
  fallback: ['local/c'],
  degraded: { kind: 'fail' },
};
const routes = new Map([
  ['cheap', route],
  ['dear', route],
]);

it('is the configuration where nothing was changed', () => {
  const { routes: live, off } = overlayRoutes(routes, []);
  expect(off.size).toBe(0);
  expect(live.get('cheap')).toEqual({
    targets: [
      { target: 'openai/a', weight: 3, off: null },
      { target: 'anthropic/b', weight: 1, off: null },
    ],
    fallback: [{ target: 'local/c', weight: 0, off: null }],
    degraded: { kind: 'fail' },
  });
});

it('changes one route only, and a target that is off everywhere on all of them', () => {
  const { routes: live, off } = overlayRoutes(routes, [
    { route: 'cheap', target: 'openai/a', weight: 9, enabled: null },
    { route: 'cheap', target: 'local/c', weight: null, enabled: false },
    { route: null, target: 'anthropic/b', weight: null, enabled: false },
    { route: 'gone', target: 'openai/a', weight: 1, enabled: false },
    { route: 'cheap', target: 'openai/gone', weight: 1, enabled: false },
  ]);
  expect([...off]).toEqual(['anthropic/b']);
  const states = (name: string) =>
    [...live.get(name)!.targets, ...live.get(name)!.fallback].map(({ weight, off: where }) => [
      weight,
      where,
    ]);
  expect(states('cheap')).toEqual([
    [9, null],
    [1, 'everywhere'],
    [0, 'on_this_route'],
  ]);
  expect(states('dear')).toEqual([
    [3, null],
    [1, 'everywhere'],
    [0, null],
  ]);
  expect([...live.keys()]).toEqual(['cheap', 'dear']);
});
