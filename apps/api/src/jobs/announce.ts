import { orLate } from '@millrace/contracts';
import type { Logger } from '@millrace/telemetry';
import type { LivePublisher, Producer } from '@millrace/transport';

/** The ways to tell the rest of the fleet what the ledger has committed already. */
export interface Announcer {
  producer: Pick<Producer, 'enqueueJobs' | 'enqueueSteps' | 'enqueueDeliveries'>;
  publisher: LivePublisher;
  /** Whether the transport is connected. */
  isTransportReady: () => boolean;
  log: Logger;
}

/** Redis that stands still must not hold an answer. */
const PATIENCE_MS = 500;

/**
 * Tells the fleet, but does not insist: what is not told in half a second is found by the reconciler, by heartbeats or by watchers who
 * look into the ledger. Never throws.
 */
export async function announce(
  { isTransportReady, log }: Announcer,
  what: string,
  tell: () => Promise<unknown>,
): Promise<void> {
  if (!isTransportReady()) {
    log.warn({ reason: what }, 'the transport is away; not announced');
    return;
  }
  const told = tell().catch((err: unknown) => log.warn({ reason: what, err }, 'not announced'));
  await orLate(told, PATIENCE_MS, () => undefined);
}
