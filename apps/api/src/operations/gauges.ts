import { orLate } from '@millrace/contracts';
import { measureLedger } from '@millrace/ledger';
import type { LedgerReadings, Queryable } from '@millrace/ledger';
import type { Logger, Metrics } from '@millrace/telemetry';
import { measureQueues } from '@millrace/transport';
import type { Producer, QueueReading } from '@millrace/transport';

const AT_MOST_EVERY_MS = 1_000;
/** A scrape must end before Prometheus gives up (10 s). */
const PATIENCE_MS = 3_000;

/**
 * Reads the gauges of ledger and queues for a scrape, at most once a second for all scrapers together. The gauges of a part that does
 * not answer are left out rather than old.
 */
export function createGauges(options: {
  database: Queryable;
  producer: Producer;
  isTransportReady: () => boolean;
  metrics: Metrics;
  log: Logger;
}): () => Promise<void> {
  const { metrics, log } = options;
  let readAt = -Infinity;
  let reading: Promise<void> = Promise.resolve();

  const read = async (): Promise<void> => {
    const [ledger, queues] = await Promise.all([
      soon(measureLedger(options.database)).catch((err: unknown) => {
        log.warn({ err, reason: 'ledger' }, 'gauges not read');
        return null;
      }),
      (options.isTransportReady() ? soon(measureQueues(options.producer)) : Promise.resolve([])).catch(
        (err: unknown) => {
          log.warn({ err, reason: 'transport' }, 'gauges not read');
          return [];
        },
      ),
    ]);
    showLedger(metrics, ledger);
    showQueues(metrics, queues);
  };

  return () => {
    if (performance.now() - readAt >= AT_MOST_EVERY_MS) {
      readAt = performance.now();
      reading = read();
    }
    return reading;
  };
}

function showLedger(metrics: Metrics, readings: LedgerReadings | null): void {
  const { openJobs, openSteps, oldestStepSeconds, pendingDeliveries, overdueSeconds } = metrics;
  for (const gauge of [openJobs, openSteps, oldestStepSeconds]) gauge.reset();
  pendingDeliveries.set(readings?.pendingDeliveries ?? NaN);
  overdueSeconds.set(readings?.longestOverdueSeconds ?? NaN);
  if (!readings) return;
  for (const { status, count } of readings.openJobs) openJobs.set({ status }, count);
  const oldest = new Map<string, number>();
  for (const { pool, status, priority, count, oldestAgeSeconds } of readings.openSteps) {
    openSteps.set({ pool, status, priority }, count);
    if (status === 'pending') oldest.set(pool, Math.max(oldest.get(pool) ?? 0, oldestAgeSeconds));
  }
  for (const [pool, seconds] of oldest) oldestStepSeconds.set({ pool }, seconds);
}

function showQueues(metrics: Metrics, readings: readonly QueueReading[]): void {
  metrics.queueJobs.reset();
  for (const { queue, state, count } of readings) metrics.queueJobs.set({ queue, state }, count);
}

function soon<Result>(promise: Promise<Result>): Promise<Result> {
  return orLate(promise, PATIENCE_MS, () => {
    throw new Error(`no answer within ${PATIENCE_MS} ms`);
  });
}
