import { endpointEventTypes } from '@millrace/contracts';
import type { EndpointEventType } from '@millrace/contracts';

/** A webhook endpoint without its secrets. Instants are milliseconds since 1970. */
export interface EndpointRecord {
  id: string;
  tenantId: string;
  url: string;
  events: EndpointEventType[];
  description: string;
  enabled: boolean;
  /** Why the platform disabled it; null when it is enabled or its owner disabled it. */
  disabledReason: string | null;
  /** Deliveries that were given up on since the last success. */
  consecutiveFailures: number;
  /** The first failed try since the last success. */
  failingSince: number | null;
  createdAt: number;
  /** Until when the secret before the present one signs too, the last of those replaced to do so; null when only one signs. */
  previousSecretExpiresAt: number | null;
}

/** The columns of {@link EndpointRecord}, for a SELECT or RETURNING on `webhook_endpoints`. */
export const endpointColumns = `id, tenant_id AS "tenantId", url, events, description, enabled,
  disabled_reason AS "disabledReason", consecutive_failures AS "consecutiveFailures", failing_since AS "failingSince",
  created_at AS "createdAt",
  CASE WHEN previous_secret_expires_at > now() THEN previous_secret_expires_at END AS "previousSecretExpiresAt"`;

/** The secrets that were replaced, as a table `earlier (secret, expires_at)` for a FROM beside `webhook_endpoints`. */
export const earlierSecrets = `unnest(older_secrets || previous_secret,
  older_secrets_expire_at || previous_secret_expires_at) AS earlier (secret, expires_at)`;

/** A row of {@link endpointColumns} as the driver gives it. */
export interface EndpointRow extends Omit<EndpointRecord, 'events'> {
  events: string[];
}

/** Maps a row; event types that this version does not know are left out. */
export function toEndpointRecord(row: EndpointRow): EndpointRecord {
  return { ...row, events: endpointEventTypes.filter((type) => row.events.includes(type)) };
}
