import type { EndpointEventType } from '@millrace/contracts';
import type { Database } from '../database.ts';
import { closeDeliveries } from './close-deliveries.ts';
import { endpointColumns, toEndpointRecord } from './endpoint-row.ts';
import type { EndpointRecord, EndpointRow } from './endpoint-row.ts';

/** What may change about an endpoint; what is undefined stays. */
export interface EndpointPatch {
  url?: string | undefined;
  events?: readonly EndpointEventType[] | undefined;
  description?: string | undefined;
  enabled?: boolean | undefined;
}

// A new address, and being enabled again, start with a clean record. In SET, columns have their values from before.
const FRESH = `($3::text IS NOT NULL AND $3 <> url) OR ($6::boolean IS TRUE AND NOT enabled)`;

const PATCH = `
UPDATE webhook_endpoints SET
  url = coalesce($3, url), events = coalesce($4::text[], events), description = coalesce($5, description),
  enabled = coalesce($6, enabled),
  disabled_reason = CASE WHEN $6 THEN NULL ELSE disabled_reason END,
  consecutive_failures = CASE WHEN ${FRESH} THEN 0 ELSE consecutive_failures END,
  failing_since = CASE WHEN ${FRESH} THEN NULL ELSE failing_since END
WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL
RETURNING ${endpointColumns}`;

/**
 * Changes the tenant's endpoint; null when there is none. Deliveries that are under way go to the new address; disabling
 * cancels them. Enabling an endpoint clears the reason why it was disabled.
 */
export async function patchEndpoint(
  database: Database,
  tenantId: string,
  endpointId: string,
  patch: EndpointPatch,
): Promise<EndpointRecord | null> {
  return database.transaction(async (transaction) => {
    const [row] = await transaction.query<EndpointRow>(PATCH, [
      endpointId,
      tenantId,
      patch.url,
      patch.events && [...patch.events],
      patch.description,
      patch.enabled,
    ]);
    if (!row) return null;
    if (patch.enabled === false) await closeDeliveries(transaction, endpointId, 'cancelled');
    return toEndpointRecord(row);
  });
}
