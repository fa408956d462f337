import { toJobObject } from '@millrace/ledger';
import type { ClaimedDelivery } from '@millrace/ledger';

/** Standard Webhooks asks for payloads below 20 kB. */
const MAX_BODY_BYTES = 20_000;

/**
 * The body of a webhook in the shape that both `standardwebhooks` and OpenAI's `webhooks.unwrap` accept. A job that would
 * make it larger than 20 kB is named only, and `thin` says so: the receiver fetches it.
 */
export function buildBody(delivery: ClaimedDelivery): { body: string; thin: boolean } {
  const event = {
    id: delivery.eventId,
    object: 'event',
    type: delivery.eventType,
    created_at: Math.floor(delivery.eventAt / 1_000),
    timestamp: new Date(delivery.eventAt).toISOString(),
  };
  const { about } = delivery;
  // As OpenAI sends it: the batch's id and nothing else.
  if (about.kind === 'batch') {
    return { body: JSON.stringify({ ...event, data: { id: about.batchId } }), thin: true };
  }
  const job = toJobObject(about.job);
  const body = JSON.stringify({ ...event, data: job });
  if (Buffer.byteLength(body) <= MAX_BODY_BYTES) return { body, thin: false };
  const named = { id: job.id, object: job.object, status: job.status };
  return { body: JSON.stringify({ ...event, thin: true, data: named }), thin: true };
}
