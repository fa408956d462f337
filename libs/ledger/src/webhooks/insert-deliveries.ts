import { createId } from '@millrace/contracts';
import type { WebhookEventType } from '@millrace/contracts';
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
SELECT id, url FROM webhook_endpoints
WHERE tenant_id = $1 AND deleted_at IS NULL AND enabled AND $2 = ANY (events)`;

const INSERT = `
INSERT INTO webhook_deliveries (id, tenant_id, job_id, event_id, event_type, endpoint_id, url)
SELECT d.id, $2, $3, $4, $5, d.endpoint_id, d.url
FROM unnest($1::text[], $6::text[], $7::text[]) AS d (id, endpoint_id, url)`;

/**
 * Writes one delivery for each endpoint of the tenant that wants the event, and one for the job's own URL. All carry
 * the same event id. Returns the ids of the deliveries.
 */
export async function insertDeliveries(transaction: Queryable, event: WebhookEvent): Promise<string[]> {
  const endpoints = await transaction.query<{ id: string | null; url: string }>(FIND_ENDPOINTS, [
    event.tenantId,
    event.eventType,
  ]);
  const own = ownUrl(event);
  const receivers = own === null ? endpoints : [...endpoints, { id: null, url: own }];
  if (receivers.length === 0) return [];
  const ids = receivers.map(() => createId('delivery'));
  await transaction.query(INSERT, [
    ids,
    event.tenantId,
    event.jobId,
    event.eventId,
    event.eventType,
    receivers.map((receiver) => receiver.id),
    receivers.map((receiver) => receiver.url),
  ]);
  return ids;
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
