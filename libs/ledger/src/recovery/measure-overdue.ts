import type { Queryable } from '../database.ts';

const OVERDUE = `
SELECT greatest(0,
  extract(epoch FROM now() - (SELECT min(wake_at) FROM jobs WHERE wake_at IS NOT NULL)),
  extract(epoch FROM now() - (SELECT min(wake_at) FROM steps WHERE wake_at IS NOT NULL)),
  extract(epoch FROM now() - (SELECT min(wake_at) FROM provider_batches WHERE wake_at IS NOT NULL)))::float8 AS seconds`;

/** How long, in seconds, the longest overdue row has been overdue: it grows when nobody reconciles. Three index look-ups. */
export async function measureOverdue(database: Queryable): Promise<number> {
  const [row] = await database.query<{ seconds: number }>(OVERDUE);
  return row?.seconds ?? 0;
}
