import type { DatabaseOptions } from '../database.ts';

/** Options of the tests' pools; `change` says what the test is about. */
export function testOptions(url: string, change: Partial<DatabaseOptions> = {}): DatabaseOptions {
  return {
    url,
    maxConnections: 10,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'ledger tests',
    ...change,
  };
}
