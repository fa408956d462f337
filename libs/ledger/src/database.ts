import { createHash } from 'node:crypto';
import pg from 'pg';

/** The ledger did not answer: nothing was changed as far as we know, and the same may be tried again. */
export class LedgerUnavailable extends Error {
  constructor(cause: unknown) {
    super(`the ledger cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = 'LedgerUnavailable';
  }
}

/** Something that runs one statement: the pool, or a transaction. Values are bound as `$1`, `$2`, … */
export interface Queryable {
  query<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>;
}

/** A pool of connections to the ledger. */
export interface Database extends Queryable {
  /** Runs `work` in one READ COMMITTED transaction; a throw rolls everything back. */
  transaction<Result>(work: (transaction: Queryable) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  url: string;
  maxConnections: number;
  /** How long to wait for a connection, and for one statement, before the ledger counts as unavailable. */
  connectTimeoutMs: number;
  statementTimeoutMs: number;
  applicationName: string;
  /** Told about connections that die while idle; the pool replaces them by itself. */
  onIdleError?: (error: Error) => void;
}

const { builtins } = pg.types;

/** Instants come as milliseconds since 1970 and bigint as number: all our counters stay below 2^53. */
function parserFor(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === (builtins.TIMESTAMPTZ as number)) return (text) => Date.parse(text);
  if (oid === (builtins.INT8 as number)) return Number;
  return pg.types.getTypeParser(oid, format as 'text') as (text: string) => unknown;
}

/** Opens a pool. Nothing is connected until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs,
    query_timeout: options.statementTimeoutMs,
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: options.statementTimeoutMs * 2,
    application_name: options.applicationName,
    keepAlive: true,
    types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
  });
  pool.on('error', (error) => options.onIdleError?.(error));

  return {
    async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
      return retryConflicts(() => withClient(pool, (client) => run<Row>(client, text, values)));
    },
    async transaction(work) {
      return retryConflicts(() =>
        withClient(pool, async (client) => {
          await client.query('BEGIN');
          try {
            const result = await work({ query: (text, values = []) => run(client, text, values) });
            await client.query('COMMIT');
            return result;
          } catch (error) {
            if (!isUnavailable(error)) await client.query('ROLLBACK');
            throw error;
          }
        }),
      );
    },
    async close() {
      await pool.end();
    },
  };
}

/**
 * Lends a connection to `work`. A connection that failed or timed out is thrown away: nobody knows what it is doing, and
 * closing it rolls back for certain.
 */
async function withClient<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect().catch((error: unknown) => {
    throw new LedgerUnavailable(error);
  });
  try {
    const result = await work(client);
    client.release();
    return result;
  } catch (error) {
    const unavailable = isUnavailable(error);
    client.release(unavailable);
    throw unavailable ? new LedgerUnavailable(error) : error;
  }
}

async function run<Row>(client: pg.PoolClient, text: string, values: readonly unknown[]): Promise<Row[]> {
  const answer = await client.query({ name: statementName(text), text, values: [...values] });
  return answer.rows as Row[];
}

/** Statements are prepared once per connection under a name that follows from their text. */
function statementName(text: string): string {
  return createHash('sha1').update(text).digest('base64url');
}

/** Deadlocks and serialization failures (class 40) were rolled back whole, so the same work may simply be done again. */
async function retryConflicts<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 3 || !sqlState(error).startsWith('40')) throw error;
    }
  }
}

/** The SQLSTATE of an error from PostgreSQL, `""` for any other error. */
function sqlState(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  return /^[0-9A-Z]{5}$/.test(code) ? code : '';
}

/** Classes 08 (connection), 53 (resources), 57 (operator intervention), and what has no SQLSTATE: sockets, time-outs. */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = sqlState(error);
  if (state !== '') return /^(08|53|57)/.test(state);
  if ('code' in error && typeof error.code === 'string' && error.code.startsWith('E')) return true;
  return /timeout|terminated|Connection/i.test(error.message);
}
