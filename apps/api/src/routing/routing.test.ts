import {
  listSchema,
  parseApiKey,
  routeChangeSchema,
  routeObjectSchema,
  targetObjectSchema,
} from '@millrace/contracts';
import type { Problem, RouteObject } from '@millrace/contracts';
import { findRouteOverrides } from '@millrace/ledger';
import { connectRedis, closeRedis, keyNames } from '@millrace/redis';
import { waitFor } from '@millrace/test-support';
import { onRouteChange } from '@millrace/transport';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let api: TestApi;
let admin: string;
beforeAll(async () => {
  api = await startTestApi();
  admin = await api.createKey('operators', 'admin');
});
afterAll(() => api.stop());
beforeEach(async () => {
  await api.database.query('TRUNCATE route_overrides, route_changes');
});

const LUNA = 'openai/gpt-6-luna';
const HAIKU = 'anthropic/claude-haiku-5-5';
const patchRoute = (route: string, targets: unknown, key = admin) =>
  api.send<RouteObject & Problem>(key, 'PATCH', `/v1/admin/routes/${route}`, { body: { targets } });
const patchTarget = (target: string, body: unknown) =>
  api.send<Problem>(admin, 'PATCH', `/v1/admin/targets/${encodeURIComponent(target)}`, { body });
const changes = async (query = '') =>
  listSchema(routeChangeSchema).parse(
    (await api.send<unknown>(admin, 'GET', `/v1/admin/routes/changes${query}`)).body,
  );

test('routes are shown as they are in force', async () => {
  const { status, body } = await api.send<unknown>(admin, 'GET', '/v1/admin/routes');
  expect(status).toBe(200);
  const { data } = listSchema(routeObjectSchema).parse(body);
  expect(data.map(({ name }) => name)).toEqual(['cheap', 'quality']);
  expect(data[0]).toMatchObject({
    targets: [{ target: LUNA, weight: 1, configured_weight: 1, enabled: true, switched_off: null }],
    fallback: [{ target: HAIKU, weight: null, enabled: true }],
    degraded: 'wait',
  });
});

test('weights and switches of a route are changed, kept and taken back', async () => {
  const changed = await patchRoute('cheap', [
    { target: LUNA, weight: 7 },
    { target: HAIKU, enabled: false },
  ]);
  expect(changed.status).toBe(200);
  expect(routeObjectSchema.parse(changed.body)).toMatchObject({
    targets: [{ target: LUNA, weight: 7, configured_weight: 1, enabled: true }],
    fallback: [{ target: HAIKU, weight: null, enabled: false, switched_off: 'on_this_route' }],
  });
  const back = await patchRoute('cheap', [
    { target: LUNA, weight: null },
    { target: HAIKU, enabled: null },
  ]);
  expect(back.body).toMatchObject({ targets: [{ weight: 1 }], fallback: [{ enabled: true }] });
  expect(await findRouteOverrides(api.database)).toEqual([]);
});

test('a target is switched off on every route, by its name with %2F', async () => {
  const off = await patchTarget(LUNA, { enabled: false });
  expect(off.status).toBe(200);
  expect(targetObjectSchema.parse(off.body)).toEqual({
    target: LUNA,
    object: 'target',
    enabled: false,
    routes: ['cheap'],
  });
  const routes = (await api.send<{ data: RouteObject[] }>(admin, 'GET', '/v1/admin/routes')).body.data;
  expect(routes[0]?.targets[0]).toMatchObject({ enabled: false, switched_off: 'everywhere' });
  await patchTarget(LUNA, { enabled: true });
  expect(await findRouteOverrides(api.database)).toEqual([]);
});

test('each change says who made it, when, and from what to what', async () => {
  await patchRoute('cheap', [{ target: LUNA, weight: 7 }]);
  await patchTarget(HAIKU, { enabled: false });
  const { data, has_more } = await changes();
  const by = { api_key_id: parseApiKey(admin)?.keyId, tenant_id: 'operators' };
  expect(has_more).toBe(false);
  expect(data).toMatchObject([
    { ...by, route: null, target: HAIKU, before: { enabled: true }, after: { enabled: false } },
    {
      ...by,
      route: 'cheap',
      target: LUNA,
      before: { weight: 1, enabled: true },
      after: { weight: 7, enabled: true },
    },
  ]);
  expect(Math.abs(Date.parse(data[0]!.at) - Date.now())).toBeLessThan(60_000);
  expect((await changes('?limit=1')).data).toEqual(data.slice(0, 1));
  expect((await changes(`?limit=1&after=${data[0]!.id}`)).data).toEqual(data.slice(1));
  expect(api.logs().filter((line) => line['event'] === 'route_changed')).not.toEqual([]);
});

test('what is not there is named, and nothing is changed', async () => {
  const lost = await patchRoute('cheep', [{ target: LUNA, weight: 7 }]);
  expect([lost.status, lost.body.code]).toEqual([404, 'not_found']);
  expect(lost.body.detail).toContain('there are cheap, quality');
  const unknown = await patchTarget('openai/gpt-6-lunar', { enabled: false });
  expect([unknown.status, unknown.body.code]).toEqual([404, 'not_found']);
  expect(unknown.body.detail).toContain(LUNA);

  const wrong = await patchRoute('cheap', [
    { target: LUNA, weight: 7 },
    { target: 'openai/other', weight: 1 },
    { target: HAIKU, weight: 3 },
    { target: LUNA, enabled: false },
  ]);
  expect([wrong.status, wrong.body.code]).toEqual([422, 'validation_failed']);
  expect(wrong.body.errors?.map(({ path }) => path)).toEqual([
    'targets[1].target',
    'targets[2].weight',
    'targets[3].target',
  ]);
  expect(await findRouteOverrides(api.database)).toEqual([]);
});

test('a body that does not fit is refused with the path of what is wrong', async () => {
  const pathsOf = async (body: unknown): Promise<(string | undefined)[]> => {
    const answer = await api.send<Problem>(admin, 'PATCH', '/v1/admin/routes/cheap', { body });
    expect(answer.status).toBe(422);
    return answer.body.errors?.map(({ path }) => path) ?? [];
  };
  expect(await pathsOf({ targets: [{ target: LUNA, weight: -1 }] })).toEqual(['targets[0].weight']);
  expect(await pathsOf({ targets: [{ target: LUNA }] })).toEqual(['targets[0]']);
  expect(await pathsOf({ targets: [{ target: 'luna', weight: 1 }] })).toEqual(['targets[0].target']);
  expect(await pathsOf({ targets: [], more: 1 })).toEqual(['targets', 'more']);
  expect((await patchTarget(LUNA, {})).body.errors?.map(({ path }) => path)).toEqual(['enabled']);
});

test('only keys with the scope admin get in, however the path is written', async () => {
  const jobs = await api.createKey('operators', 'jobs');
  for (const path of ['/v1/admin/routes', '/V1/Admin/Routes', '/v1/admin/routes/changes', '/v1/admin/none']) {
    expect([path, (await api.send(jobs, 'GET', path)).status]).toEqual([path, 403]);
    expect([path, (await api.send(null, 'GET', path)).status]).toEqual([path, 401]);
  }
  expect((await patchRoute('cheap', [{ target: LUNA, weight: 7 }], jobs)).status).toBe(403);
  expect((await api.send(admin, 'GET', '/v1/admin/none')).status).toBe(404);
  expect((await api.send(admin, 'GET', '/v1/jobs')).status).toBe(403);
  expect(await findRouteOverrides(api.database)).toEqual([]);
});

test('workers are told at once', async () => {
  const subscriber = connectRedis({
    url: api.redisUrl,
    role: 'subscriber',
    name: 'test',
    onError: () => undefined,
  });
  let told = 0;
  const stop = onRouteChange(
    subscriber,
    keyNames(api.prefix),
    () => (told += 1),
    () => undefined,
  );
  await waitFor(
    async () => {
      await patchRoute('cheap', [{ target: LUNA, weight: told + 5 }]);
      return told > 0;
    },
    { what: 'the announcement' },
  );
  stop();
  await closeRedis(subscriber);
});
