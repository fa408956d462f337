import { LedgerUnavailable, acceptJobs, gather } from '@millrace/ledger';
import type { AcceptResult, Database, NewJob } from '@millrace/ledger';

/** Commits one job, or tells what its key stands for already. Throws LedgerUnavailable. */
export type Commit = (job: NewJob) => Promise<AcceptResult>;

interface Arrival {
  job: NewJob;
  at: number;
}

/**
 * Jobs that arrive together share one transaction. When the ledger turns out to be away, whoever was waiting for a turn is told so
 * at once and is not tried: a client that has heard 503 must not find its job committed a moment later, and must not wait for one
 * time-out after the other. `now` is in milliseconds of any clock that never goes back.
 */
export function createCommit(database: Database, now: () => number = () => performance.now()): Commit {
  let away: { since: number; error: LedgerUnavailable } | null = null;

  const perform = async (
    arrivals: readonly Arrival[],
  ): Promise<readonly (AcceptResult | LedgerUnavailable)[]> => {
    const known = away;
    const overtaken = (arrival: Arrival): boolean => known !== null && arrival.at <= known.since;
    const jobs = arrivals.filter((arrival) => !overtaken(arrival)).map((arrival) => arrival.job);
    try {
      const results = jobs.length === 0 ? [] : await acceptJobs(database, jobs);
      const byJob = new Map(jobs.map((job, index) => [job, results[index]]));
      return arrivals.map((arrival) => byJob.get(arrival.job) ?? new LedgerUnavailable(known?.error));
    } catch (error) {
      if (error instanceof LedgerUnavailable) away = { since: now(), error };
      throw error;
    }
  };
  const commit = gather(perform, {
    maxItems: 100,
    concurrency: 2,
    // One job that the ledger refuses must not take the others with it; a ledger that is away refuses them all.
    retryAlone: (error) => !(error instanceof LedgerUnavailable),
  });
  return async (job) => {
    const result = await commit({ job, at: now() });
    if (result instanceof LedgerUnavailable) throw result;
    return result;
  };
}
