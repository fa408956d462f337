import { readdirSync } from 'node:fs';
import { createTestDatabase, spawnApp } from '@millrace/test-support';
import { expect, it, vi } from 'vitest';
import { openDatabase } from './database.ts';
import { migrate } from './migrate.ts';
import { testOptions } from './testing/test-options.ts';

const files = readdirSync(new URL('../migrations', import.meta.url)).toSorted();
const applied = (lines: string[]) => lines.filter((line) => line.startsWith('migration '));

it('several processes that migrate an empty database at once apply each migration once, in order', async () => {
  const empty = await createTestDatabase({ template: 'empty', migrate: () => Promise.resolve() });
  const apps = await Promise.all(
    [1, 2, 3, 4].map(() =>
      spawnApp({ app: 'libs/ledger/src/testing/migrate-once.ts', environment: {}, arguments: [empty.url] }),
    ),
  );
  await Promise.all(apps.map((app) => app.waitForLine(/^migrated$/)));
  for (const { code } of await Promise.all(apps.map((app) => app.exited))) expect(code).toBe(0);
  const lines = applied(apps.flatMap((app) => app.logs()));
  expect(lines).toEqual(files.map((file) => `migration ${file.replace(/\.sql$/, '')} applied`));

  const again: string[] = [];
  await migrate(empty.url, (line) => again.push(line));
  expect(again).toEqual([]);
  const database = openDatabase(testOptions(empty.url));
  const rows = await database.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
  expect(rows.map((row) => `${row.name}.sql`)).toEqual(files);
  await database.close();
  await empty.drop();
});

it('a migration makes way for whoever is at its table and those behind it, and builds its index anew', async () => {
  const test = await createTestDatabase();
  const open = () => openDatabase({ ...testOptions(test.url), maxConnections: 1 });
  const [holder, bystander] = [open(), open()];
  try {
    await bystander.query('ALTER TABLE client_batches DROP COLUMN idempotency_key, DROP COLUMN fingerprint');
    await bystander.query('ALTER TABLE steps DROP COLUMN answer_lost');
    await bystander.query("DELETE FROM migrations WHERE name >= '0011'");
    await bystander.query(
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_batch_lane'::regclass",
    );
    const lines: string[] = [];
    let migrated: Promise<void> = Promise.resolve();
    await holder.transaction(async (transaction) => {
      await transaction.query('SELECT FROM client_batches LIMIT 1');
      migrated = migrate(test.url, (line) => lines.push(line), {
        lockWaitMs: 100,
        pauseMs: 100,
        tryForMs: 60_000,
      });
      await vi.waitFor(() => expect(lines.length).toBeGreaterThan(2), 15_000);
      expect(new Set(lines)).toEqual(new Set(['a table is in use; trying again in 100 ms']));
      await bystander.query('SELECT FROM client_batches LIMIT 1');
    });
    await migrated;
    expect(applied(lines)).toEqual(
      files.filter((file) => file >= '0011').map((file) => `migration ${file.replace(/\.sql$/, '')} applied`),
    );
    const [index] = await bystander.query<{ valid: boolean }>(
      "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = 'jobs_batch_lane'::regclass",
    );
    expect(index).toEqual({ valid: true });
  } finally {
    await Promise.all([holder.close(), bystander.close()]);
    await test.drop();
  }
}, 60_000);

it('a database that cannot be reached is an error, not a wait', async () => {
  await expect(migrate('postgres://nobody:x@127.0.0.1:1/nothing')).rejects.toThrow('ECONNREFUSED');
});
