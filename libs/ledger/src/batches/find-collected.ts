import type { Queryable } from '../database.ts';

/** Collected steps of one target and shape that wait for a batch. Instants are milliseconds since 1970. */
export interface CollectedGroup {
  target: string;
  shape: string;
  /** `untried`: no request of this shape has been answered yet, and none is being tried. */
  trial: 'untried' | 'trying' | 'proven' | 'refused';
  /** Pilots of this shape that have ended and told nothing. */
  undecided: number;
  /** When what is known of the shape changed last; null when nothing is. */
  triedAt: number | null;
  count: number;
  oldestAt: number;
  /** The first instant at which one of them leaves the lane; null when none does. */
  escapeAt: number | null;
}

const FIND = `
SELECT s.target, s.shape, coalesce(b.status, 'untried') AS trial, coalesce(b.pilots - b.refusals, 0) AS undecided,
  b.changed_at AS "triedAt", s.count, s.oldest_at AS "oldestAt", s.escape_at AS "escapeAt"
FROM (
  SELECT target, coalesce(shape, '') AS shape, count(*)::int AS count, min(created_at) AS oldest_at, min(escape_at) AS escape_at
  FROM steps WHERE status = 'collected' AND not_before <= now() GROUP BY target, coalesce(shape, '')
) AS s LEFT JOIN batch_shapes b ON b.target = s.target AND b.shape = s.shape`;

/** What the collector decides from: every group of collected steps that may be submitted now. */
export async function findCollected(database: Queryable): Promise<CollectedGroup[]> {
  return database.query(FIND);
}
