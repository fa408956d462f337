import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase, verifyApiKey } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { createTestDatabase, spawnApp } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readKeysCommand } from './keys-command.ts';
import { findLocalDatabaseUrl } from './local-database-url.ts';

let testDatabase: TestDatabase;
let database: Database;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = openDatabase({
    url: testDatabase.url,
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    applicationName: 'keys test',
  });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

async function keys(...words: string[]): Promise<{ code: number | null; lines: string[] }> {
  const app = await spawnApp({
    app: join(import.meta.dirname, 'main.ts'),
    environment: { DATABASE_URL: testDatabase.url },
    arguments: words,
  });
  const { code } = await app.exited;
  return { code, lines: app.logs() };
}

test('a key that is made works, is listed without its secret, and works no more when revoked', async () => {
  const made = await keys('create', '--tenant', 'acme', '--scopes', 'jobs,board', '--name', 'nightly');
  expect(made.code).toBe(0);
  const text = made.lines.find((line) => line.startsWith('mr_'))!;
  const record = await verifyApiKey(database, text);
  expect(record).toMatchObject({ tenantId: 'acme', scopes: ['jobs', 'board'], name: 'nightly' });

  const listed = await keys('list', '--tenant', 'acme');
  expect(listed.lines.join('\n')).toMatch(
    new RegExp(`^${record!.id}  acme  jobs,board  active  .*nightly$`, 'm'),
  );
  expect(listed.lines.join('\n')).not.toContain(text.split('_')[2]);

  expect((await keys('revoke', record!.id)).code).toBe(0);
  expect(await verifyApiKey(database, text)).toBeNull();
  expect((await keys('revoke', 'aaaaaaaaaaaa')).code).toBe(1);
});

test('the policy and the limits of a tenant are set and shown', async () => {
  const shown = await keys('tenants', '--tenant', 'careful', '--ambiguous', 'hold', '--max-open-jobs', '5');
  expect(shown.lines.join('\n')).toMatch(
    /ambiguous +hold\nmax open jobs +5\nrequests per minute +the default/,
  );
});

test('a tenant is kept out of provider batches, and let in again', async () => {
  const shown = async (...change: string[]) =>
    (await keys('tenants', '--tenant', 'careful', ...change)).lines.join('\n');
  expect(await shown()).toMatch(/^provider batches +allowed$/m);
  expect(await shown('--batch', 'forbid')).toMatch(/^provider batches +forbidden$/m);
  expect(await shown('--tier', 'gold')).toMatch(/^provider batches +forbidden$/m);
  expect(await shown('--batch', 'allow')).toMatch(/^provider batches +allowed$/m);
});

test('the tier of a tenant is set and shown', async () => {
  const before = await keys('tenants', '--tenant', 'rich', '--ambiguous', 'retry');
  expect(before.lines.join('\n')).toMatch(/^tier +standard$/m);
  const shown = await keys('tenants', '--tenant', 'rich', '--tier', 'gold');
  expect(shown.lines.join('\n')).toMatch(/^tier +gold$/m);
});

test('a wrong command is refused with the usage and exit code 64', async () => {
  const answer = await keys('create', '--tenant', 'acme', '--scopes', 'everything');
  expect(answer.code).toBe(64);
  expect(answer.lines.join('\n')).toContain('Unknown scope "everything"; there are jobs, admin, board.');
});

test.each([
  [[], 'Say what to do.'],
  [['destroy'], 'There is no command "destroy".'],
  [['create', '--scopes', 'jobs'], 'Missing: --tenant'],
  [['revoke', 'short'], 'The id of a key is the middle part of mr_<id>_….'],
  [['tenants', '--tenant', 'a', '--ambiguous', 'ask'], '--ambiguous is retry or hold, not "ask".'],
  [
    ['tenants', '--tenant', 'a', '--max-open-jobs', '0'],
    '--max-open-jobs is a whole number from 1 to 999999999.',
  ],
  [['tenants', '--tenant', 'a', '--batch', 'no'], '--batch is allow or forbid, not "no".'],
  [
    ['tenants', '--tenant', 'a', '--tier', 'Gold!'],
    '--tier is a-z, then up to 31 of "a-z 0-9 _ -", not "Gold!".',
  ],
  [['list', 'acme'], 'Too many words: acme'],
])('the words %j are answered with what is wrong', (words, problem) => {
  expect(readKeysCommand(words)).toEqual({ action: 'help', problem });
});

test('the database of a local stack is found where the stack keeps it', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-keys-'));
  try {
    expect(await findLocalDatabaseUrl(directory)).toBeNull();
    mkdirSync(join(directory, 'postgres', 'cluster'), { recursive: true });
    writeFileSync(join(directory, 'postgres', 'password'), 'secret\n');
    writeFileSync(join(directory, 'postgres', 'cluster', 'postmaster.pid'), '1\n/x\n1795251058\n42521\n\n');
    expect(await findLocalDatabaseUrl(directory)).toBe('postgres://millrace:secret@127.0.0.1:42521/millrace');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
