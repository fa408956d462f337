import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '@millrace/infra';
import type { EmbeddedPostgres } from '@millrace/infra';
import { createTestDatabase, quickestMs, waitFor } from '@millrace/test-support';
import type { TestDatabase } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerUnavailable, openDatabase } from './database.ts';
import type { Database, DatabaseOptions } from './database.ts';
import { testOptions } from './testing/test-options.ts';

const opened: Database[] = [];
const open = (url: string, change: Partial<DatabaseOptions> = {}): Database => {
  const database = openDatabase(testOptions(url, { connectTimeoutMs: 10_000, ...change }));
  opened.push(database);
  return database;
};
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no failure',
    (error: unknown) => error,
  );

async function listen(accept: (socket: Socket) => void): Promise<[Server, number]> {
  const server = createServer(accept).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return [server, (server.address() as AddressInfo).port];
}

let own: TestDatabase;
beforeAll(async () => {
  own = await createTestDatabase();
});
afterAll(async () => {
  await Promise.all(opened.map((database) => database.close()));
  await own.drop();
});

it('a pool for statements by keys finds rows of a table by its index that nobody has analysed', async () => {
  const plan = async (database: Database): Promise<string> => {
    const rows = await database.query<Record<string, string>>(
      `EXPLAIN UPDATE unseen SET n = 1 FROM json_to_recordset('[]') AS j (id int) WHERE unseen.id = j.id`,
    );
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };
  const byKeys = open(own.url, { byKeys: true });
  await byKeys.query('CREATE TABLE unseen (id int PRIMARY KEY, n int)');
  expect(await plan(open(own.url))).toContain('Seq Scan on unseen');
  expect(await plan(byKeys)).toContain('unseen_pkey');
});

it('a pool for statements by keys keeps the options of the address, which win', async () => {
  const settings = async (options: string): Promise<unknown> => {
    const url = new URL(own.url);
    url.searchParams.set('options', options);
    const [row] = await open(url.href, { byKeys: true }).query(
      `SELECT current_setting('work_mem') AS memory, current_setting('jit') AS jit,
        current_setting('enable_seqscan') AS scans`,
    );
    return row;
  };
  expect(await settings('-c work_mem=7MB')).toEqual({ memory: '7MB', jit: 'off', scans: 'off' });
  expect(await settings('-c work_mem=7MB -c jit=on')).toEqual({ memory: '7MB', jit: 'on', scans: 'off' });
});

describe('a connection', () => {
  it('that the server ends in the middle of a transaction fails that transaction and nothing else', async () => {
    const database = open(own.url);
    const lost = database.transaction(async (transaction) => {
      const [row] = await transaction.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await database.query('SELECT pg_terminate_backend($1, 5000)', [row!.pid]);
      // The news of its end arrives while the work of the transaction does something else.
      await new Promise((resolve) => setTimeout(resolve, 50));
      return transaction.query('SELECT 1');
    });
    expect(await failure(lost)).toBeInstanceOf(LedgerUnavailable);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('that idles when the server ends it is replaced, and reported', async () => {
    const reported: Error[] = [];
    const database = open(own.url, { maxConnections: 1, onIdleError: (error) => reported.push(error) });
    const other = open(own.url);
    const [before] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await other.query('SELECT pg_terminate_backend($1, 5000)', [before!.pid]);
    await waitFor(() => reported.length > 0, { what: 'the report' });
    const [after] = await database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    expect(after!.pid).not.toBe(before!.pid);
  });
});

describe('a transaction', () => {
  it('that throws leaves nothing behind, and its connection works on', async () => {
    const database = open(own.url, { maxConnections: 1 });
    const thrown = new Error('no');
    const refused = database.transaction(async (transaction) => {
      await transaction.query("INSERT INTO leases VALUES ('rolled back', 'x', now())");
      throw thrown;
    });
    expect(await failure(refused)).toBe(thrown);
    expect(await database.query("SELECT FROM leases WHERE name = 'rolled back'")).toEqual([]);
  });

  it('is done again when PostgreSQL broke a deadlock with it', async () => {
    const database = open(own.url);
    await database.query("INSERT INTO leases VALUES ('a', 'x', now()), ('b', 'x', now())");
    const touch = 'UPDATE leases SET holder = $2 WHERE name = $1';
    const meeting = Promise.withResolvers<undefined>();
    let waiting = 0;
    let runs = 0;
    const cross = (first: string, second: string) =>
      database.transaction(async (transaction) => {
        runs += 1;
        await transaction.query(touch, [first, second]);
        if ((waiting += 1) === 2) meeting.resolve(undefined);
        await meeting.promise;
        await transaction.query(touch, [second, first]);
      });
    await Promise.all([cross('a', 'b'), cross('b', 'a')]);
    expect(runs).toBe(3);
  });
});

describe('what counts as an unavailable ledger', () => {
  it('is a socket that breaks under the statement', async () => {
    const [server, port] = await listen((socket) => socket.once('data', () => socket.destroy()));
    const url = `postgres://nobody:x@127.0.0.1:${port}/x`;
    expect(await failure(open(url).query('SELECT 1'))).toBeInstanceOf(LedgerUnavailable);
    server.close();
    expect(await failure(open(url).query('SELECT 1'))).toBeInstanceOf(LedgerUnavailable);
  });

  const work = (error: unknown) =>
    open(own.url).transaction(async () => {
      throw error;
    });

  it('is not a mistake of our own that the runtime reports, nor one that speaks of a timeout or a connection', async () => {
    for (const mistake of [
      Object.assign(new TypeError('bad argument'), { code: 'ERR_INVALID_ARG_TYPE' }),
      new Error('the template ran into its render timeout'),
      new Error('unknown node "Connection"'),
    ]) {
      expect(await failure(work(mistake))).toBe(mistake);
    }
  });

  it('is a server that turned read-only under us, and its connection is not used again', async () => {
    const database = open(own.url, { maxConnections: 1 });
    await database.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    const insert = () => database.query("INSERT INTO leases VALUES ('read only', 'x', now())");
    expect(await failure(insert())).toBeInstanceOf(LedgerUnavailable);
    expect(await insert()).toEqual([]);
  });

  it('is not a statement that PostgreSQL refuses', async () => {
    const refused = await failure(open(own.url).query('SELECT 1 / 0'));
    expect(refused).toMatchObject({ code: '22012' });
    expect(refused).not.toBeInstanceOf(LedgerUnavailable);
  });

  it('is a pool without a free connection, after the time-out', async () => {
    const database = open(own.url, { maxConnections: 1, connectTimeoutMs: 200 });
    // The first connection, too, has no longer to be made; the holder takes it as it is.
    await waitFor(() => database.query('SELECT 1'), { what: 'a connection' });
    const busy = Promise.withResolvers<undefined>();
    const holder = database.transaction(() => busy.promise);
    const refusedAfterMs = async (): Promise<number> => {
      const startedAt = performance.now();
      expect(await failure(database.query('SELECT 1'))).toBeInstanceOf(LedgerUnavailable);
      return performance.now() - startedAt;
    };
    expect(await quickestMs(1_000, refusedAfterMs)).toBeLessThan(1_000);
    busy.resolve(undefined);
    await holder;
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is a server without a free connection', async () => {
    const hoarder = open(own.url, { maxConnections: 2 });
    await hoarder
      .query("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0 PASSWORD 'narrow'")
      .catch(() => undefined);
    const url = new URL(own.url);
    url.username = url.password = 'narrow';
    expect(await failure(open(url.href).query('SELECT 1'))).toBeInstanceOf(LedgerUnavailable);
    await hoarder.query('DROP ROLE narrow');
  });

  it('is a statement that takes too long', async () => {
    const database = open(own.url, { statementTimeoutMs: 200 });
    expect(await failure(database.query('SELECT pg_sleep(5)'))).toBeInstanceOf(LedgerUnavailable);
    const next = () => database.query('SELECT 1 AS one');
    expect(await waitFor(next, { what: 'a statement that is quick' })).toEqual([{ one: 1 }]);
  });
});

describe('a server of its own', () => {
  let directory: string;
  let server: EmbeddedPostgres;
  const start = (port?: number) =>
    startEmbeddedPostgres({
      dataDirectory: join(directory, 'pg'),
      log: () => undefined,
      ...(port ? { port } : {}),
    });

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-database-'));
    server = await start();
  });
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it('that stands still makes the ledger unavailable within the time-outs, and is used again when it goes on', async () => {
    const unavailableAfterMs = async (): Promise<number> => {
      const database = open(server.url, {
        ...{ maxConnections: 2, connectTimeoutMs: 500, statementTimeoutMs: 500 },
      });
      const [backend] = await waitFor(
        () => database.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'),
        { what: 'a connection' },
      );
      const frozen = [server.pid, backend!.pid];
      let tookMs: number;
      for (const pid of frozen) process.kill(pid, 'SIGSTOP');
      try {
        const startedAt = performance.now();
        const [connected, fresh, inTransaction] = await Promise.all([
          failure(database.query('SELECT 1')),
          failure(database.query('SELECT 2')),
          failure(database.transaction((transaction) => transaction.query('SELECT 3'))),
        ]);
        tookMs = performance.now() - startedAt;
        expect([connected, fresh, inTransaction].map((error) => error instanceof LedgerUnavailable)).toEqual([
          true,
          true,
          true,
        ]);
      } finally {
        for (const pid of frozen.reverse()) process.kill(pid, 'SIGCONT');
      }
      await waitFor(() => database.query('SELECT 1'), { what: 'the server to answer again' });
      return tookMs;
    };
    expect(await quickestMs(2_000, unavailableAfterMs)).toBeLessThan(2_000);
  });

  it('that is killed and started again costs the statements under way and no more', async () => {
    const database = open(server.url, { maxConnections: 4 });
    const port = Number(new URL(server.url).port);
    await database.query('CREATE TABLE kept (id int)');
    await Promise.all([1, 2, 3].map((id) => database.query('INSERT INTO kept VALUES ($1)', [id])));
    const underWay = [
      failure(database.query('SELECT pg_sleep(9)')),
      failure(
        database.transaction(async (transaction) => {
          await transaction.query('INSERT INTO kept VALUES (4)');
          await server.died;
          return transaction.query('SELECT 1');
        }),
      ),
    ];
    await waitFor(
      async () =>
        (
          await database.query(
            "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()",
          )
        ).length > 0,
      { what: 'the statement to be under way' },
    );
    process.kill(server.pid, 'SIGKILL');
    for (const error of await Promise.all(underWay)) expect(error).toBeInstanceOf(LedgerUnavailable);
    expect(await failure(database.query('SELECT 1'))).toBeInstanceOf(LedgerUnavailable);
    await server.died;
    await server.stop();
    server = await start(port);
    expect(await database.query('SELECT id FROM kept ORDER BY id')).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3 },
    ]);
  });
});
