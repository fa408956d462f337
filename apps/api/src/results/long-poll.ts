import { isTerminal, isTerminalEvent } from '@millrace/contracts';
import { LedgerUnavailable, findJob, gather } from '@millrace/ledger';
import type { Database, JobRecord } from '@millrace/ledger';
import type { Metrics } from '@millrace/telemetry';
import type { LiveFeed } from '@millrace/transport';
import { createWaiter } from './long-poll-waiter.ts';
import type { Waiter } from './long-poll-waiter.ts';

/** Waits for jobs to end. A waiter costs a subscription and a few objects; it asks the ledger only when there is news. */
export interface LongPoll {
  /**
   * The job as soon as it is terminal, or as it is after `timeoutMs` or when the signal is aborted; null when the tenant has
   * no such job. Throws LedgerUnavailable if the ledger is away at the beginning; later it goes on waiting.
   */
  waitForEnd(
    tenantId: string,
    jobId: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<JobRecord | null>;
}

/** Announcements can get lost: how long a waiter relies on them before it looks for itself. */
const QUIET_MS = 5_000;
const QUIET_WITHOUT_REDIS_MS = 1_000;
/** Thousands who look at once share this many connections of the pool. */
const READS_AT_ONCE = 8;

/** `metrics` counts those who wait. */
export function createLongPoll(options: { database: Database; feed: LiveFeed; metrics?: Metrics }): LongPoll {
  const { database, feed, metrics } = options;
  const waiters = new Set<Waiter>();
  let watch: NodeJS.Timeout | undefined;

  const readTogether = gather<Wanted, PromiseSettledResult<JobRecord | null>>(
    (wanted) => readJobs(database, wanted),
    { maxItems: READS_AT_ONCE, concurrency: 1 },
  );
  const read = async (waiter: Waiter, wanted: Wanted): Promise<JobRecord | null> => {
    waiter.lookedAt = performance.now();
    const result = await readTogether(wanted);
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  };

  const add = (waiter: Waiter): void => {
    waiters.add(waiter);
    metrics?.watchers.inc({ kind: 'long_poll' });
    watch ??= setInterval(wakeQuietOnes, QUIET_WITHOUT_REDIS_MS / 2);
  };
  const remove = (waiter: Waiter): void => {
    waiters.delete(waiter);
    metrics?.watchers.dec({ kind: 'long_poll' });
    if (waiters.size > 0) return;
    clearInterval(watch);
    watch = undefined;
  };
  function wakeQuietOnes(): void {
    const latest = performance.now() - (feed.isConnected() ? QUIET_MS : QUIET_WITHOUT_REDIS_MS);
    for (const waiter of waiters) if (waiter.lookedAt <= latest) waiter.wake();
  }

  return {
    async waitForEnd(tenantId, jobId, timeoutMs, signal) {
      const waiter = createWaiter(timeoutMs, signal, isTerminalEvent);
      add(waiter);
      // Before the first look, so that an end in between is announced to us.
      const unwatch = await feed.watch(jobId, waiter);
      try {
        let job = await read(waiter, { tenantId, jobId });
        while (job && !isTerminal(job.status)) {
          const reason = await waiter.woken();
          if (signal.aborted) return job;
          job = await read(waiter, { tenantId, jobId }).catch(keepWaiting(job));
          if (reason === 'timeout') return job;
        }
        return job;
      } finally {
        unwatch();
        waiter.dispose();
        remove(waiter);
      }
    },
  };
}

/** The ledger that is away is asked again later; until then the job is as it was. */
function keepWaiting(job: JobRecord): (error: unknown) => JobRecord {
  return (error) => {
    if (error instanceof LedgerUnavailable) return job;
    throw error;
  };
}

interface Wanted {
  tenantId: string;
  jobId: string;
}

/** Several who wait for one job share one reading. */
async function readJobs(
  database: Database,
  wanted: readonly Wanted[],
): Promise<PromiseSettledResult<JobRecord | null>[]> {
  const readings = new Map<string, Promise<JobRecord | null>>();
  const each = wanted.map(({ tenantId, jobId }) => {
    const key = `${tenantId} ${jobId}`;
    const reading = readings.get(key) ?? findJob(database, tenantId, jobId);
    readings.set(key, reading);
    return reading;
  });
  return Promise.allSettled(each);
}
