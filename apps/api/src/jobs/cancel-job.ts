import { setTimeout as pause } from 'node:timers/promises';
import { cancelJob, countOpenCalls, findJob } from '@millrace/ledger';
import type { Database, JobRecord } from '@millrace/ledger';
import type { Metrics } from '@millrace/telemetry';
import { announce } from './announce.ts';
import type { Announcer } from './announce.ts';

export interface CancelOptions extends Announcer {
  database: Database;
  metrics: Metrics;
}

/** How long the answer waits for aborted calls to report what they used. */
const REPORT_MS = 1_000;
const LOOK_MS = 25;

/**
 * Cancels a job and waits up to a second for the calls that were under way, so that the tokens billed for them are in the answer. A
 * job that has ended stays as it is. Null when the tenant has no such job.
 */
export async function cancelAndReport(
  options: CancelOptions,
  tenantId: string,
  jobId: string,
): Promise<JobRecord | null> {
  const { database, metrics, producer, publisher } = options;
  const cancelled = await cancelJob(database, tenantId, jobId);
  if (!cancelled) return null;
  const { finished } = cancelled;
  if (finished) {
    metrics.jobsEnded.inc({ type: finished.type, status: finished.status });
    metrics.jobSeconds.observe({ type: finished.type }, finished.seconds);
    await announce(options, 'cancellation', () =>
      Promise.all([
        publisher.publishCancel(jobId),
        publisher.publishEvents(finished.events),
        producer.enqueueDeliveries(
          finished.deliveryIds.map((deliveryId) => ({ deliveryId, fence: 0, delayMs: 0 })),
        ),
      ]),
    );
    await reported(database, jobId);
  }
  return findJob(database, tenantId, jobId);
}

/** The workers write what an aborted call used without announcing it, so the ledger is asked. */
async function reported(database: Database, jobId: string): Promise<void> {
  const deadlineAt = performance.now() + REPORT_MS;
  while ((await countOpenCalls(database, jobId)) > 0 && performance.now() < deadlineAt) await pause(LOOK_MS);
}
