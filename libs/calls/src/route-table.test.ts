import type { RouteConfig } from '@millrace/config';
import type { RouteOverride } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import { expect, it } from 'vitest';
import { createRouteTable } from './route-table.ts';

const routes = new Map<string, RouteConfig>([
  ['cheap', { targets: [{ target: 'openai/a', weight: 3 }], fallback: [], degraded: { kind: 'wait' } }],
]);
const override = (weight: number): RouteOverride => ({
  route: 'cheap',
  target: 'openai/a',
  weight,
  enabled: null,
});

it('knows what the ledger says from its start, and learns of changes by itself', async () => {
  let stored = [override(5)];
  const table = createRouteTable({ routes, load: async () => stored, everyMs: 10, onError: () => undefined });
  const weight = () => table.current().routes.get('cheap')?.targets[0]?.weight;
  expect(weight()).toBe(3);
  await table.start();
  expect(weight()).toBe(5);
  stored = [];
  await waitFor(() => weight() === 3, { what: 'the change to be seen' });
  await table.stop();
});

it('keeps what it knew while the ledger is away', async () => {
  const errors: unknown[] = [];
  let isAway = false;
  const load = async () => {
    if (isAway) throw new Error('away');
    return [override(5)];
  };
  const table = createRouteTable({ routes, load, onError: (error) => errors.push(error) });
  await table.refresh();
  isAway = true;
  await table.refresh();
  expect(errors).toHaveLength(1);
  expect(table.current().routes.get('cheap')?.targets[0]?.weight).toBe(5);
});

it('reads once more for those who ask while it reads', async () => {
  const readings: ((overrides: RouteOverride[]) => void)[] = [];
  const load = () => new Promise<RouteOverride[]>((resolve) => readings.push(resolve));
  const table = createRouteTable({ routes, load, onError: () => undefined });
  const first = table.refresh();
  const second = table.refresh();
  readings[0]?.([]);
  await waitFor(() => readings.length === 2, { what: 'the second reading' });
  readings[1]?.([override(7)]);
  await Promise.all([first, second]);
  expect(table.current().routes.get('cheap')?.targets[0]?.weight).toBe(7);
  expect(readings).toHaveLength(2);
});
