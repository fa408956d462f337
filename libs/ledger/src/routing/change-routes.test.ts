import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { migrate } from '../migrate.ts';
import { openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { changeRoutes } from './change-routes.ts';
import { findRouteOverrides } from './find-route-overrides.ts';
import { listRouteChanges } from './list-route-changes.ts';

let created: TestDatabase;
let ledger: TestLedger;
beforeAll(async () => {
  created = await createTestDatabase({ migrate });
  ledger = await openTestLedger(created.url);
});
afterAll(async () => {
  await ledger.close();
  await created.drop();
});
beforeEach(async () => {
  await ledger.database.query('TRUNCATE route_overrides, route_changes');
});

const by = { apiKeyId: 'key1', tenantId: 'acme' };
const onCheap = { route: 'cheap', target: 'openai/a', configuredWeight: 60 };
const everywhere = { route: null, target: 'openai/a', configuredWeight: null };
const changesOf = async () =>
  (await listRouteChanges(ledger.database, { after: null, before: null, limit: 100 })).changes;

it('keeps a change until it is taken back, and leaves alone what was not named', async () => {
  await changeRoutes(ledger.database, by, [
    { ...onCheap, weight: 10 },
    { ...everywhere, enabled: false },
  ]);
  await changeRoutes(ledger.database, by, [{ ...onCheap, enabled: false }]);
  expect(await findRouteOverrides(ledger.database)).toEqual([
    { route: null, target: 'openai/a', weight: null, enabled: false },
    { route: 'cheap', target: 'openai/a', weight: 10, enabled: false },
  ]);
  await changeRoutes(ledger.database, by, [
    { ...onCheap, weight: null, enabled: null },
    { ...everywhere, enabled: null },
  ]);
  expect(await findRouteOverrides(ledger.database)).toEqual([]);
});

it('writes who changed what from what was in force to what is, and nothing for what changes nothing', async () => {
  await changeRoutes(ledger.database, by, [{ ...onCheap, weight: 10 }]);
  await changeRoutes(ledger.database, by, [{ ...onCheap, weight: 10 }]);
  await changeRoutes(ledger.database, { ...by, apiKeyId: 'key2' }, [
    { ...onCheap, weight: null, enabled: false },
  ]);
  const changes = await changesOf();
  expect(changes).toMatchObject([
    {
      apiKeyId: 'key2',
      tenantId: 'acme',
      route: 'cheap',
      target: 'openai/a',
      before: { weight: 10, enabled: true },
      after: { weight: 60, enabled: false },
    },
    { apiKeyId: 'key1', before: { weight: 60, enabled: true }, after: { weight: 10, enabled: true } },
  ]);
  expect(Math.abs(changes[0]!.at - Date.now())).toBeLessThan(60_000);
});

it('makes all changes of a request or none', async () => {
  const both = changeRoutes(ledger.database, by, [
    { ...onCheap, enabled: false },
    { ...onCheap, target: 'openai/b', weight: -1 },
  ]);
  await expect(both).rejects.toThrow('check constraint');
  expect(await findRouteOverrides(ledger.database)).toEqual([]);
  expect(await changesOf()).toEqual([]);
});

it('writes changes that are made at the same moment one after the other', async () => {
  await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      changeRoutes(ledger.database, by, [{ ...onCheap, weight: index + 1 }]),
    ),
  );
  const changes = (await changesOf()).reverse();
  expect(changes).toHaveLength(8);
  for (const [index, change] of changes.entries()) {
    expect(change.before.weight).toBe(index === 0 ? 60 : changes[index - 1]!.after.weight);
  }
});

it('lists its entries in pages, in both directions', async () => {
  for (const weight of [1, 2, 3, 4, 5]) await changeRoutes(ledger.database, by, [{ ...onCheap, weight }]);
  const weights = async (page: { after?: number; before?: number; limit: number }) => {
    const { changes, hasMore } = await listRouteChanges(ledger.database, {
      after: null,
      before: null,
      ...page,
    });
    return { ids: changes.map(({ id }) => id), weights: changes.map(({ after }) => after.weight), hasMore };
  };
  const first = await weights({ limit: 2 });
  expect(first).toMatchObject({ weights: [5, 4], hasMore: true });
  const second = await weights({ limit: 3, after: first.ids[1]! });
  expect(second).toMatchObject({ weights: [3, 2, 1], hasMore: false });
  expect(await weights({ limit: 1, before: second.ids[1]! })).toMatchObject({ weights: [3], hasMore: true });
});
