import type { Queryable } from './database.ts';

/** Of outputs as text: vectors may have tens of megabytes, and a page is held in memory as a whole. */
const PAGE_BYTES = 8 * 1024 * 1024;

/** What {@link cutToBytes} adds to each row. */
interface Cut {
  /** How many rows the statement has without the cut. */
  found: number;
  place: number;
  /** Of the outputs so far, as they are stored and as text. */
  stored: number;
  bytes: number;
}

/**
 * Makes a page of a SELECT of rows with a column `output`, the last value of which is its LIMIT: it ends before the row with
 * which the outputs would have more than 8 MiB, and has one row at least. The outputs of the others stay in PostgreSQL. Their
 * size as stored is known at once, and only those that could fit by it are unpacked to be measured. `order` is the SELECT's.
 */
export const cutToBytes = (select: string, order: string): string => `
WITH found AS (${select}
), packed AS (
  SELECT *, row_number() OVER page AS place, sum(coalesce(pg_column_size(output), 0)) OVER page AS stored
  FROM found WINDOW page AS (ORDER BY ${order})
), sized AS (
  SELECT *, sum(coalesce(octet_length(output::text), 0)) OVER (ORDER BY ${order}) AS bytes
  FROM packed WHERE place = 1 OR stored <= ${PAGE_BYTES}
)
SELECT *, (SELECT count(*) FROM found) AS found FROM sized WHERE place = 1 OR bytes <= ${PAGE_BYTES}
ORDER BY ${order}`;

/**
 * One page of a statement that {@link cutToBytes} has made, of `limit` rows at most, in the statement's order, and whether there
 * are more behind it. `values` are the statement's but for the LIMIT.
 */
export async function readPage<Row extends object>(
  database: Queryable,
  statement: string,
  values: readonly unknown[],
  limit: number,
) {
  const rows = await database.query<Row & Cut>(statement, [...values, limit + 1]);
  const shown = rows.slice(0, limit);
  return {
    rows: shown.map(({ found: _found, place: _place, stored: _stored, bytes: _bytes, ...row }) => row),
    hasMore: (rows[0]?.found ?? 0) > shown.length,
  };
}
