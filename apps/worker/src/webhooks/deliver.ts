import { crashPoint } from '@millrace/faults';
import { claimDelivery, recordTry } from '@millrace/ledger';
import type { ClaimedDelivery, Database, DeliveryTry, RecordedTry } from '@millrace/ledger';
import { buildBody } from './build-body.ts';
import { decideNextTry } from './decide-next-try.ts';
import { postWebhook } from './post-webhook.ts';
import type { Lookup } from './public-lookup.ts';
import type { WebhookAnswer } from './send-request.ts';
import { signedHeaders } from './signed-headers.ts';

/** What {@link deliverWebhook} needs. */
export interface DeliveryDependencies {
  database: Database;
  /** Puts the next try on the queue; the reconciler does so, later, if this fails. */
  enqueueDelivery: (deliveryId: string, fence: number, delayMs: number) => Promise<void>;
  log: { info(fields: Record<string, unknown>, message: string): void };
  onTry: (observed: { outcome: TryOutcome; durationMs: number }) => void;
  /** Milliseconds since 1970. */
  now: () => number;
  /** 0 to 1, as Math.random. */
  random: () => number;
  /** Resolves host names, as `dns.lookup` does. */
  lookup: Lookup;
  settings: DeliverySettings;
}

export interface DeliverySettings {
  /** Hosts (`name` or `name:port`) that may be private, plain http and on any port. */
  listedHosts: readonly string[];
  /** For one try as a whole: name resolution, connection, sending, answer. */
  timeoutMs: number;
  /** Longer than `timeoutMs`, so that nobody else tries while this try is under way. */
  leaseMs: number;
  /** An endpoint that fails for so long without a success is disabled. */
  disableAfterMs: number;
}

/** The rules of docs/api.md, "Webhooks". */
export const defaultDeliverySettings: Readonly<Omit<DeliverySettings, 'listedHosts'>> = Object.freeze({
  timeoutMs: 15_000,
  // As short as the time-out allows: a dead worker's webhook is tried again within 20 s (goal I12).
  leaseMs: 17_000,
  disableAfterMs: 5 * 24 * 3_600_000,
});

/** `skipped`: not due, held by another worker, or ended. The others are those of the ledger. */
export type TryOutcome = RecordedTry['outcome'];
export type DeliveryOutcome =
  { outcome: 'skipped' } | { outcome: TryOutcome; fence: number; nextDelayMs: number | null };

/**
 * Tries a delivery once: claims it, sends it to a checked address, records what came of it, and asks for the next try if
 * there is to be one. Receivers may see the same webhook-id again when a worker dies between sending and recording.
 */
export async function deliverWebhook(
  dependencies: DeliveryDependencies,
  deliveryId: string,
): Promise<DeliveryOutcome> {
  const { database, settings } = dependencies;
  const delivery = await claimDelivery(database, deliveryId, settings.leaseMs);
  if (!delivery) return { outcome: 'skipped' };

  crashPoint('webhook.before-post', subjectOf(delivery));
  const { body, thin } = buildBody(delivery);
  const startedAt = performance.now();
  const answer = await postWebhook({
    url: delivery.url,
    headers: signedHeaders(delivery, body, dependencies.now()),
    body,
    listedHosts: settings.listedHosts,
    timeoutMs: settings.timeoutMs,
    lookup: dependencies.lookup,
    now: dependencies.now,
  });
  const durationMs = Math.round(performance.now() - startedAt);
  crashPoint('webhook.after-post', subjectOf(delivery));

  const ended: DeliveryTry = {
    deliveryId,
    fence: delivery.fence,
    endpointId: delivery.endpointId,
    durationMs,
    httpStatus: answer.httpStatus,
    error: answer.error,
    verdict: decideNextTry(answer, delivery.roundTry, dependencies.random),
  };
  const recorded = await recordTry(database, ended, settings.disableAfterMs);
  crashPoint('webhook.after-record', subjectOf(delivery));
  dependencies.onTry({ outcome: recorded.outcome, durationMs });
  dependencies.log.info(toLogFields(delivery, answer, recorded, { durationMs, thin }), 'webhook try');

  if (recorded.nextDelayMs !== null)
    await dependencies.enqueueDelivery(deliveryId, delivery.fence, recorded.nextDelayMs);
  return { outcome: recorded.outcome, fence: delivery.fence, nextDelayMs: recorded.nextDelayMs };
}

/** The id of the job or the batch that it tells of. */
function subjectOf({ about }: ClaimedDelivery): string {
  return about.kind === 'job' ? about.job.id : about.batchId;
}

/** The host only: paths and queries of webhook addresses often carry tokens. */
function toLogFields(
  delivery: ClaimedDelivery,
  answer: WebhookAnswer,
  recorded: RecordedTry,
  extra: { durationMs: number; thin: boolean },
): Record<string, unknown> {
  return {
    delivery: delivery.id,
    request_id: delivery.requestId,
    tenant: delivery.tenantId,
    job: subjectOf(delivery),
    endpoint: delivery.endpointId ?? undefined,
    event_id: delivery.eventId,
    event_type: delivery.eventType,
    host: URL.parse(delivery.url)?.host,
    try: delivery.tryNumber,
    fence: delivery.fence,
    outcome: recorded.outcome,
    http_status: answer.httpStatus ?? undefined,
    error: answer.error ?? undefined,
    duration_ms: extra.durationMs,
    thin: extra.thin,
    next_delay_ms: recorded.nextDelayMs ?? undefined,
    disabled: recorded.endpointDisabled || undefined,
  };
}
