import { Client } from 'pg';
import { expect, test } from 'vitest';
import { createTestDatabase } from './create-test-database.ts';

const migrateLetters = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('CREATE TABLE letters (letter text PRIMARY KEY)');
  await client.query(`INSERT INTO letters VALUES ('a')`);
  await client.end();
};

async function withClient<Result>(url: string, work: (client: Client) => Promise<Result>): Promise<Result> {
  const client = new Client({ connectionString: url });
  // A test below lets the server close the connection.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const readLetters = (url: string): Promise<string[]> =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ letter: string }>('SELECT letter FROM letters ORDER BY letter');
    return rows.map((row) => row.letter);
  });

test('each test database has the migrated schema and none of the others’ rows', async () => {
  let migrations = 0;
  const migrate = async (url: string): Promise<void> => {
    migrations += 1;
    await migrateLetters(url);
  };
  const [first, second] = await Promise.all([
    createTestDatabase({ migrate, template: 'letters' }),
    createTestDatabase({ migrate, template: 'letters' }),
  ]);
  await withClient(first.url, (client) => client.query(`INSERT INTO letters VALUES ('b')`));

  expect(await readLetters(first.url)).toEqual(['a', 'b']);
  expect(await readLetters(second.url)).toEqual(['a']);
  expect(migrations).toBe(1);

  await first.drop();
  await second.drop();
  await expect(readLetters(first.url)).rejects.toThrow(/does not exist/);
});

test('without a migration of its own a test gets the schema of the ledger', async () => {
  const database = await createTestDatabase();
  const tables = await withClient(database.url, async (client) => {
    const { rows } = await client.query<{ name: string }>('SELECT relname AS name FROM pg_stat_user_tables');
    return rows.map((row) => row.name);
  });
  expect(tables).toEqual(expect.arrayContaining(['jobs', 'steps', 'attempts']));
  await database.drop();
});

test('a migration that fails is not taken for a template', async () => {
  const failing = async (url: string): Promise<void> => {
    await migrateLetters(url);
    throw new Error('the second half is missing');
  };
  await expect(createTestDatabase({ migrate: failing, template: 'failing' })).rejects.toThrow('second half');

  const database = await createTestDatabase({ migrate: migrateLetters, template: 'failing' });
  expect(await readLetters(database.url)).toEqual(['a']);
  await database.drop();
});

test('dropping a database to which something is still connected fails and drops it all the same', async () => {
  const database = await createTestDatabase({ migrate: migrateLetters, template: 'letters' });
  await withClient(database.url, async (client) => {
    await client.query(`SET application_name = 'a forgotten pool'`);
    await expect(database.drop()).rejects.toThrow(/a forgotten pool/);
  });
  await expect(readLetters(database.url)).rejects.toThrow(/does not exist/);
});
