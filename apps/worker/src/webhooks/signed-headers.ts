import { hasDefect } from '@millrace/faults';
import type { ClaimedDelivery } from '@millrace/ledger';
import { Webhook } from 'standardwebhooks';

/**
 * The headers of one try (Standard Webhooks 1.0): the same `webhook-id` on every try, the time of this one, and a signature
 * for each secret that is live.
 */
export function signedHeaders(
  delivery: Pick<ClaimedDelivery, 'eventId' | 'secrets'>,
  body: string,
  now: number,
): Record<string, string> {
  const signatures = delivery.secrets.map((secret) =>
    new Webhook(secret).sign(delivery.eventId, new Date(now), body),
  );
  return {
    'content-type': 'application/json',
    'user-agent': 'Millrace-Webhooks/1',
    'webhook-id': delivery.eventId,
    'webhook-timestamp': String(Math.floor(now / 1_000)),
    'webhook-signature': hasDefect('unsigned-webhook') ? 'v1,' : signatures.join(' '),
  };
}
