import type { Queryable } from '../database.ts';

export type DeliveryStatus = 'pending' | 'delivered' | 'exhausted' | 'cancelled';

/** One sending of a webhook. Instants are milliseconds since 1970. */
export interface TryRecord {
  number: number;
  at: number;
  durationMs: number;
  httpStatus: number | null;
  error: string | null;
}

/** A delivery with every try. Instants are milliseconds since 1970. */
export interface DeliveryRecord {
  id: string;
  eventId: string;
  eventType: string;
  /** Null when it is about a batch. */
  jobId: string | null;
  batchId: string | null;
  /** Null when the job named the URL itself. */
  endpointId: string | null;
  url: string;
  status: DeliveryStatus;
  createdAt: number;
  /** Null when there will be no further try. */
  nextTryAt: number | null;
  finishedAt: number | null;
  tries: TryRecord[];
}

/** What to list; every filter that is null is off. `after` and `before` are delivery ids. */
export interface DeliveryFilter {
  tenantId: string;
  jobId: string | null;
  endpointId: string | null;
  status: DeliveryStatus | null;
  after: string | null;
  before: string | null;
  /** 1–100 */
  limit: number;
}

const COLUMNS = `id, event_id AS "eventId", event_type AS "eventType", job_id AS "jobId", client_batch_id AS "batchId", endpoint_id AS "endpointId", url,
  status, created_at AS "createdAt", CASE WHEN status = 'pending' THEN not_before END AS "nextTryAt",
  finished_at AS "finishedAt"`;

/** A filter that is off is not in the statement at all: with `OR` PostgreSQL would not see that an index has its rows. */
const list = ({ jobId, endpointId, status, before }: DeliveryFilter): string => `
SELECT ${COLUMNS} FROM webhook_deliveries
WHERE tenant_id = $1
  AND ${jobId === null ? '$2::text IS NULL' : 'job_id = $2'}
  AND ${endpointId === null ? '$3::text IS NULL' : 'endpoint_id = $3'}
  AND ${status === null ? '$4::text IS NULL' : `status = $4${status === 'delivered' ? '' : NOT_DELIVERED}`}
  AND ($5::text IS NULL OR id ${before === null ? '<' : '>'} $5)
ORDER BY id ${before === null ? 'DESC' : 'ASC'} LIMIT $6`;

/** The words of the index `webhook_deliveries_undelivered`. */
const NOT_DELIVERED = " AND status <> 'delivered'";

const FIND = `SELECT ${COLUMNS} FROM webhook_deliveries WHERE id = $1 AND tenant_id = $2`;

const TRIES = `
SELECT delivery_id AS "deliveryId", number, at, duration_ms AS "durationMs", http_status AS "httpStatus", error
FROM webhook_tries WHERE delivery_id = ANY ($1) ORDER BY delivery_id, number`;

/** One page of a tenant's deliveries with every try, newest first. */
export async function listDeliveries(
  database: Queryable,
  filter: DeliveryFilter,
): Promise<{ deliveries: DeliveryRecord[]; hasMore: boolean }> {
  const backwards = filter.before !== null;
  const rows = await database.query<DeliveryRow>(list(filter), [
    filter.tenantId,
    filter.jobId,
    filter.endpointId,
    filter.status,
    backwards ? filter.before : filter.after,
    filter.limit + 1,
  ]);
  const shown = rows.slice(0, filter.limit);
  const deliveries = await withTries(database, backwards ? shown.reverse() : shown);
  return { deliveries, hasMore: rows.length > filter.limit };
}

/** The tenant's delivery with this id, or null: a foreign id answers like an unknown one. */
export async function findDelivery(
  database: Queryable,
  tenantId: string,
  deliveryId: string,
): Promise<DeliveryRecord | null> {
  const rows = await database.query<DeliveryRow>(FIND, [deliveryId, tenantId]);
  const [delivery] = await withTries(database, rows);
  return delivery ?? null;
}

type DeliveryRow = Omit<DeliveryRecord, 'tries'>;

async function withTries(database: Queryable, rows: readonly DeliveryRow[]): Promise<DeliveryRecord[]> {
  if (rows.length === 0) return [];
  const tries = await database.query<TryRecord & { deliveryId: string }>(TRIES, [rows.map((row) => row.id)]);
  return rows.map((row) => ({
    ...row,
    tries: tries
      .filter((each) => each.deliveryId === row.id)
      .map(({ deliveryId: _deliveryId, ...each }) => each),
  }));
}
