import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { orLate } from '@millrace/contracts';
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
  /** For a pool whose statements touch few rows by their keys and never read a table whole; see {@link BY_KEYS}. */
  byKeys?: boolean;
  /** Told about connections that die while idle; the pool replaces them by itself. */
  onIdleError?: (error: Error) => void;
}

const { builtins } = pg.types;

/** Instants come as milliseconds since 1970 and bigint as number: all our counters stay below 2^53. */
function parserFor(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === (builtins.TIMESTAMPTZ as number)) return (text) => Date.parse(text);
  if (oid === (builtins.INT8 as number)) return Number;
  return pg.types.getTypeParser(oid, format) as (text: string) => unknown;
}

/**
 * PostgreSQL takes every list that comes as JSON for a hundred rows, and a table that nobody has analysed yet for small: it
 * would read all jobs to change sixteen of them, in every statement, until the tables are large. Nor is a statement of a
 * millisecond ever worth compiling.
 */
const BY_KEYS = '-c enable_seqscan=off -c jit=off';

/** Opens a pool. Nothing is connected until the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    ...addressOf(options),
    max: options.maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs,
    statement_timeout: options.statementTimeoutMs,
    idle_in_transaction_session_timeout: options.statementTimeoutMs * 2,
    application_name: options.applicationName,
    keepAlive: true,
    types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
  });
  const nameOf = createStatementNames();
  pool.on('error', (error) => options.onIdleError?.(error));
  // The pool listens only while a connection idles. One that dies while it is lent out fails its statement, or the next
  // one; without a listener the news itself would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const { statementTimeoutMs } = options;
  const lend = <Result>(work: (lent: Lent) => Promise<Result>): Promise<Result> =>
    withClient(pool, (client) => work({ client, statementTimeoutMs }));

  return {
    async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
      return retryConflicts(() => lend((lent) => run<Row>(lent, nameOf(text), text, values)));
    },
    async transaction(work) {
      return retryConflicts(() =>
        lend(async (lent) => {
          await control(lent, 'BEGIN');
          try {
            const result = await work({
              query: (text, values = []) => run(lent, nameOf(text), text, values),
            });
            await control(lent, 'COMMIT');
            return result;
          } catch (error) {
            if (!(error instanceof LedgerUnavailable)) await control(lent, 'ROLLBACK');
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

/** The driver takes what the address says instead of what it is told, so ours goes in front of the operator's, who has the last word. */
function addressOf({ url, byKeys }: DatabaseOptions): { connectionString: string; options?: string } {
  if (!byKeys) return { connectionString: url };
  const [server = '', query = ''] = url.split(/\?(.*)/s);
  const parameters = new URLSearchParams(query);
  const own = parameters.get('options');
  if (own === null) return { connectionString: url, options: BY_KEYS };
  parameters.set('options', `${BY_KEYS} ${own}`);
  return { connectionString: `${server}?${parameters.toString()}` };
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
    client.release(error instanceof LedgerUnavailable);
    throw error;
  }
}

/** A connection that is lent out, with the patience that its statements are given. */
interface Lent {
  client: pg.PoolClient;
  statementTimeoutMs: number;
}

async function run<Row>(lent: Lent, name: string, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await answerOf(lent, lent.client.query({ name, text, values: [...values] }));
  return rows as Row[];
}

async function control(lent: Lent, statement: 'BEGIN' | 'COMMIT' | 'ROLLBACK'): Promise<void> {
  await answerOf(lent, lent.client.query(statement));
}

/** A server that stands still, or behind a dead link, ends no statement by itself. */
function answerOf<Answer>({ statementTimeoutMs }: Lent, answer: Promise<Answer>): Promise<Answer> {
  return orLate(answer.catch(throwTranslated), statementTimeoutMs, () => {
    throw new LedgerUnavailable(new Error(`no answer within ${statementTimeoutMs} ms`));
  });
}

/** Only what the driver throws is looked at: an error of the caller's own work may speak of connections too. */
function throwTranslated(error: unknown): never {
  throw isUnavailable(error) ? new LedgerUnavailable(error) : error;
}

/** Statements are prepared once per connection under a name that follows from their text. */
function createStatementNames(): (text: string) => string {
  const names = new Map<string, string>();
  return (text) => {
    let name = names.get(text);
    if (name === undefined) {
      name = createHash('sha1').update(text).digest('base64url');
      // The statements are few and fixed; one that grows with its data must not grow this.
      if (names.size < MOST_STATEMENTS) names.set(text, name);
    }
    return name;
  };
}

const MOST_STATEMENTS = 1_000;

/** Long enough for the other party to take the locks that it was waiting for. */
const AFTER_CONFLICT_MS = 20;

/** Deadlocks and serialization failures (class 40) were rolled back whole, so the same work may simply be done again. */
async function retryConflicts<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt === 3 || !sqlState(error).startsWith('40')) throw error;
      await pause(attempt * AFTER_CONFLICT_MS);
    }
  }
}

/**
 * Whether the same work may succeed a little later: the ledger was away, or the work met others too often (class 40), and
 * nothing of it was written.
 */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof LedgerUnavailable ||
    sqlState(error).startsWith('40') ||
    sqlState(error) === LOCK_NOT_AVAILABLE
  );
}

/** SQLSTATE of a statement that gave up waiting for a lock (`lock_timeout`). */
export const LOCK_NOT_AVAILABLE = '55P03';

/** The SQLSTATE of an error from PostgreSQL, `""` for any other error. */
export function sqlState(error: unknown): string {
  return error instanceof pg.DatabaseError ? (error.code ?? '') : '';
}

/**
 * Classes 08 (connection), 53 (resources), 57 (operator intervention), 58 (its system failed it), a server that has become
 * a read-only replica, a session that idled too long; and what has no SQLSTATE: sockets, time-outs. Codes that begin with
 * `ERR_` are mistakes of ours that the runtime reports.
 */
function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const state = sqlState(error);
  if (state !== '') return /^(08|53|57|58)/.test(state) || state === '25006' || state === '25P03';
  if ('code' in error && typeof error.code === 'string') return /^E(?!RR_)/.test(error.code);
  return /timeout|terminated|connection|queryable/i.test(error.message);
}
