import { administerDatabase } from './administer-database.ts';

/** Drops every database that this test run made on a server that outlives the run. */
export async function dropTestDatabases(databaseUrl: string, testRunId: string): Promise<void> {
  await administerDatabase(databaseUrl, async (client) => {
    const { rows } = await client.query<{ datname: string }>(
      `SELECT datname FROM pg_database WHERE datname LIKE 'millrace\\_' || $1 || '\\_%'`,
      [testRunId],
    );
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS "${datname}" WITH (FORCE)`);
  });
}
