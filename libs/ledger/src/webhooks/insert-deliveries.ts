import { createId } from '@millrace/contracts';
import type { WebhookEventType } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { Queryable } from '../database.ts';

/** An event of a job that webhooks may want. `webhook` is the job's own `{url, events}` column, or null. */
export interface WebhookEvent {
  tenantId: string;
  jobId: string;
  eventId: string;
  eventType: WebhookEventType;
  webhook: unknown;
}

const FIND_ENDPOINTS = `
SELECT id, tenant_id AS "tenantId", url, events FROM webhook_endpoints
WHERE tenant_id = ANY ($1) AND deleted_at IS NULL AND enabled AND events && $2::text[]`;

const INSERT = `
INSERT INTO webhook_deliveries (id, tenant_id, job_id, event_id, event_type, endpoint_id, url)
SELECT id, "tenantId", "jobId", "eventId", "eventType", "endpointId", url
FROM json_to_recordset($1) AS d (
  id text, "tenantId" text, "jobId" text, "eventId" text, "eventType" text, "endpointId" text, url text)`;

/**
 * Writes, for each event, one delivery for each endpoint of the tenant that wants it, and one for the job's own URL. The
 * deliveries of an event carry its id. Returns the ids of the deliveries, per event, in the order of the list.
 */
export async function insertDeliveries(
  transaction: Queryable,
  events: readonly WebhookEvent[],
): Promise<string[][]> {
  if (events.length === 0) return [];
  if (hasDefect('lose-delivery')) return events.map(() => []);
  const endpoints = await transaction.query<{ id: string; tenantId: string; url: string; events: string[] }>(
    FIND_ENDPOINTS,
    [
      [...new Set(events.map((event) => event.tenantId))],
      [...new Set(events.map((event) => event.eventType))],
    ],
  );
  const deliveries = events.map((event) => {
    const wanting = endpoints.filter(
      (endpoint) => endpoint.tenantId === event.tenantId && endpoint.events.includes(event.eventType),
    );
    const own = ownUrl(event);
    return [
      ...wanting.map(({ id, url }) => ({ endpointId: id, url })),
      ...(own === null ? [] : [{ endpointId: null, url: own }]),
    ].map((receiver) => ({ ...event, webhook: undefined, ...receiver, id: createId('delivery') }));
  });
  if (deliveries.some((each) => each.length > 0)) {
    await transaction.query(INSERT, [JSON.stringify(deliveries.flat())]);
  }
  return deliveries.map((each) => each.map((delivery) => delivery.id));
}

function ownUrl({ webhook, eventType }: WebhookEvent): string | null {
  if (
    typeof webhook !== 'object' ||
    webhook === null ||
    !('url' in webhook) ||
    typeof webhook.url !== 'string'
  )
    return null;
  const wanted = 'events' in webhook && Array.isArray(webhook.events) ? webhook.events : [];
  return wanted.includes(eventType) ? webhook.url : null;
}
