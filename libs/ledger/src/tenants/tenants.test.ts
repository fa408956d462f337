import { createTestDatabase } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../database.ts';
import { complete, openTestLedger } from '../testing/open-test-ledger.ts';
import type { TestLedger } from '../testing/open-test-ledger.ts';
import { createApiKey, listApiKeys, revokeApiKey, verifyApiKey } from './api-keys.ts';
import { countOpenJobs, ensureTenant, findTenant, updateTenant } from './tenants.ts';

let own: TestDatabase;
let ledger: TestLedger;
let database: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  ledger = await openTestLedger(own.url);
  database = ledger.database;
});
afterAll(async () => {
  await ledger.close();
  await own.drop();
});

const create = (change: Partial<Parameters<typeof createApiKey>[1]> = {}) =>
  createApiKey(database, { tenantId: 'acme', name: 'ci', scopes: ['jobs'], ...change });

describe('an API key', () => {
  it('verifies as its tenant with its scopes, and its secret is stored nowhere', async () => {
    const { text, id } = await create({ scopes: ['jobs', 'board'] });
    expect(text).toMatch(/^mr_[a-z0-9]{12}_[A-Za-z0-9]{40}$/);
    expect(await verifyApiKey(database, text)).toEqual({
      id,
      tenantId: 'acme',
      name: 'ci',
      scopes: ['jobs', 'board'],
      createdAt: expect.any(Number) as number,
      revokedAt: null,
    });
    const [row] = await database.query<object>('SELECT * FROM api_keys WHERE id = $1', [id]);
    const secret = text.split('_')[2]!;
    expect(JSON.stringify(row)).not.toContain(secret);
    expect(JSON.stringify(await listApiKeys(database, null))).not.toContain('hash');
  });

  it('with another secret, an unknown id or a form of its own is nobody’s', async () => {
    const { text } = await create();
    const [, id, secret = ''] = text.split('_');
    const wrong = [
      `mr_${id}_${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}`,
      `mr_${id}_${secret.slice(0, 39)}`,
      `mr_${id}_${secret}x`,
      `mr_zzzzzzzzzzzz_${secret}`,
      `xx_${id}_${secret}`,
      `${id}_${secret}`,
      `mr_${id}`,
      `mr_${id}_`,
      text.toUpperCase(),
      ` ${text}`,
      `${text}\n`,
      '',
      'mr__',
      `mr_${id}_${secret}_`,
      `mr_${id}_${'a'.repeat(10_000)}`,
      `mr_' OR true --_${secret}`,
      `mr_${id}_\u0000`,
    ];
    for (const each of wrong) expect(await verifyApiKey(database, each), each).toBeNull();
    expect(await verifyApiKey(database, text)).not.toBeNull();
  });

  it('that is revoked is so at once and for good', async () => {
    const { text, id } = await create();
    expect(await revokeApiKey(database, id)).toBe(true);
    expect(await verifyApiKey(database, text)).toBeNull();
    const revokedAt = (await listApiKeys(database, 'acme')).find((key) => key.id === id)!.revokedAt;
    expect(await revokeApiKey(database, id)).toBe(true);
    expect((await listApiKeys(database, 'acme')).find((key) => key.id === id)!.revokedAt).toBe(revokedAt);
    // Registering it again does not bring it back.
    await create({ text });
    expect(await verifyApiKey(database, text)).toBeNull();
    expect(await revokeApiKey(database, 'zzzzzzzzzzzz')).toBe(false);
  });

  it('that was made elsewhere may be registered any number of times, also at once', async () => {
    const text = `mr_bootstrapkey_${'A1'.repeat(20)}`.replace('bootstrapkey', 'bootstrapke1');
    await Promise.all([1, 2, 3, 4].map(() => create({ text, tenantId: 'boot' })));
    expect(await verifyApiKey(database, text)).toMatchObject({ tenantId: 'boot' });
    expect(await listApiKeys(database, 'boot')).toHaveLength(1);
  });

  it('whose id is taken by another secret or tenant is refused, not silently useless', async () => {
    const { text, id } = await create();
    await expect(create({ text: `mr_${id}_${'b'.repeat(40)}` })).rejects.toThrow(/taken/);
    await expect(create({ text, tenantId: 'somebody-else' })).rejects.toThrow(/taken/);
    expect(await verifyApiKey(database, text)).toMatchObject({ tenantId: 'acme' });
  });

  it('of a wrong form, or for a tenant of a wrong name, is refused before anything is stored', async () => {
    await expect(create({ text: 'secret' })).rejects.toThrow(TypeError);
    for (const tenantId of ['', 'Acme', 'a b', '-a', 'a'.repeat(65), 'ä']) {
      await expect(create({ tenantId }), tenantId).rejects.toThrow(TypeError);
    }
    await create({ tenantId: 'a'.repeat(64) });
  });

  it('keeps scopes to itself that this version does not know', async () => {
    const { text, id } = await create();
    await database.query("UPDATE api_keys SET scopes = '{jobs,future}' WHERE id = $1", [id]);
    expect(await verifyApiKey(database, text)).toMatchObject({ scopes: ['jobs'] });
  });
});

describe('a tenant', () => {
  it('is made once, with a secret that stays', async () => {
    const secret = async () =>
      (await database.query<{ s: string }>("SELECT webhook_secret AS s FROM tenants WHERE id = 'once'"))[0]!
        .s;
    await Promise.all([1, 2, 3].map(() => ensureTenant(database, 'once')));
    const first = await secret();
    expect(first).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    await ensureTenant(database, 'once');
    expect(await secret()).toBe(first);
  });

  it('keeps what a change does not name', async () => {
    await ensureTenant(database, 'changing');
    const before = {
      id: 'changing',
      tier: 'standard',
      ambiguousPolicy: 'retry',
      maxOpenJobs: null,
      requestsPerMinute: null,
      batchAllowed: true,
    };
    expect(await findTenant(database, 'changing')).toEqual(before);
    expect(await updateTenant(database, 'changing', { maxOpenJobs: 5 })).toBe(true);
    expect(await updateTenant(database, 'changing', { ambiguousPolicy: 'hold' })).toBe(true);
    expect(await updateTenant(database, 'changing', { batchAllowed: false })).toBe(true);
    expect(await findTenant(database, 'changing')).toEqual({
      ...before,
      maxOpenJobs: 5,
      ambiguousPolicy: 'hold',
      batchAllowed: false,
    });
    expect(await updateTenant(database, 'unknown', { tier: 'x' })).toBe(false);
    expect(await findTenant(database, 'unknown')).toBeNull();
  });

  it('goes back to the default of the deployment with a limit of null', async () => {
    await ensureTenant(database, 'limited');
    await updateTenant(database, 'limited', { maxOpenJobs: 5, requestsPerMinute: 6 });
    await updateTenant(database, 'limited', { maxOpenJobs: null });
    expect(await findTenant(database, 'limited')).toMatchObject({ maxOpenJobs: null, requestsPerMinute: 6 });
  });

  it('is counted with its open jobs only', async () => {
    await ledger.addJob();
    await ledger.addJob({}, ['s']);
    await ledger.addJob({ tenantId: 'once' });
    await complete(database, await ledger.addJob());
    const counts = await countOpenJobs(database);
    expect(Object.fromEntries(counts)).toEqual({ acme: 2, once: 1 });
  });
});
