import { readdirSync } from 'node:fs';
import { createTestDatabase, spawnApp } from '@millrace/test-support';
import { expect, it } from 'vitest';
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

it('a database that cannot be reached is an error, not a wait', async () => {
  await expect(migrate('postgres://nobody:x@127.0.0.1:1/nothing')).rejects.toThrow('ECONNREFUSED');
});
