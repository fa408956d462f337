import type { WebhookDeliveryObject, WebhookEndpointObject } from '@millrace/contracts';
import type { DeliveryRecord, EndpointRecord } from '@millrace/ledger';

/** An endpoint as the API shows it; the secret only on creation and rotation. */
export function toEndpointObject(endpoint: EndpointRecord, secret?: string): WebhookEndpointObject {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    url: endpoint.url,
    events: endpoint.events,
    description: endpoint.description,
    enabled: endpoint.enabled,
    disabled_reason: endpoint.disabledReason,
    consecutive_failures: endpoint.consecutiveFailures,
    failing_since: toInstant(endpoint.failingSince),
    created_at: new Date(endpoint.createdAt).toISOString(),
    previous_secret_expires_at: toInstant(endpoint.previousSecretExpiresAt),
    ...(secret === undefined ? {} : { secret }),
  };
}

/** A delivery as the API shows it, with every try. */
export function toDeliveryObject(delivery: DeliveryRecord): WebhookDeliveryObject {
  return {
    id: delivery.id,
    object: 'webhook_delivery',
    event_id: delivery.eventId,
    event_type: delivery.eventType,
    job_id: delivery.jobId,
    batch_id: delivery.batchId,
    endpoint_id: delivery.endpointId,
    url: delivery.url,
    status: delivery.status,
    created_at: new Date(delivery.createdAt).toISOString(),
    next_try_at: toInstant(delivery.nextTryAt),
    finished_at: toInstant(delivery.finishedAt),
    tries: delivery.tries.map((each) => ({
      number: each.number,
      at: new Date(each.at).toISOString(),
      duration_ms: each.durationMs,
      http_status: each.httpStatus,
      error: each.error,
    })),
  };
}

/** A page of either, in the form that every list has. */
export function toList<Item extends { id: string }>(data: Item[], hasMore: boolean) {
  return {
    object: 'list' as const,
    data,
    has_more: hasMore,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

function toInstant(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
