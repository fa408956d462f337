import type { Database } from '../database.ts';
import { newWebhookSecret } from '../tenants/tenants.ts';
import { earlierSecrets, endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

/** So many replaced secrets sign beside the present one: each is a signature more on every delivery. */
const MOST_EARLIER = 5;

const LIVE = `${earlierSecrets} WHERE earlier.expires_at > now()`;

const ROTATE = `
UPDATE webhook_endpoints SET secret = $3, previous_secret = secret,
  previous_secret_expires_at = now() + $4 * interval '1 millisecond',
  older_secrets = ARRAY(SELECT earlier.secret FROM ${LIVE} ORDER BY earlier.expires_at),
  older_secrets_expire_at = ARRAY(SELECT earlier.expires_at FROM ${LIVE} ORDER BY earlier.expires_at)
WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL AND (SELECT count(*) FROM ${LIVE}) < $5
RETURNING ${endpointColumns}`;

const FIND_WAIT = `
SELECT extract(epoch FROM min(earlier.expires_at) - now())::float8 * 1000 AS "retryAfterMs"
FROM webhook_endpoints, ${LIVE} AND id = $1 AND tenant_id = $2 AND deleted_at IS NULL`;

/** What became of a rotation. The new secret is returned here and never again. */
export type Rotation =
  | { outcome: 'rotated'; endpoint: EndpointRecord; secret: string }
  /** As many replaced secrets sign as may; the first of them ends then. */
  | { outcome: 'too_often'; retryAfterMs: number }
  | { outcome: 'unknown' };

/**
 * Gives the tenant's endpoint a new secret; the one that it replaces signs too for `overlapMs`, and so does each that was
 * replaced before for the rest of its time. Nobody knows which of them the receiver has, so none is dropped to make room.
 */
export async function rotateSecret(
  database: Database,
  tenantId: string,
  endpointId: string,
  overlapMs: number,
): Promise<Rotation> {
  const secret = newWebhookSecret();
  const values = [endpointId, tenantId];
  const [row] = await database.query<EndpointRow>(ROTATE, [...values, secret, overlapMs, MOST_EARLIER]);
  if (row) return { outcome: 'rotated', endpoint: toEndpointRecord(row), secret };
  const [wait] = await database.query<{ retryAfterMs: number | null }>(FIND_WAIT, values);
  const retryAfterMs = wait?.retryAfterMs ?? null;
  return retryAfterMs === null ? { outcome: 'unknown' } : { outcome: 'too_often', retryAfterMs };
}
