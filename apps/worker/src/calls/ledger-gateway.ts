import type { StepWake } from '@millrace/contracts';
import { LedgerUnavailable, claimSteps, gather, markSent, recordOutcomes } from '@millrace/ledger';
import type {
  ClaimedStep,
  Database,
  Departure,
  DepartureResult,
  RecordResult,
  StepOutcome,
} from '@millrace/ledger';

/** The ledger's three hot transactions, one item at a time for the caller, many at a time for the ledger. */
export interface LedgerGateway {
  claimStep: (wake: StepWake) => Promise<ClaimedStep | null>;
  markSent: (departure: Departure) => Promise<DepartureResult>;
  recordOutcome: (outcome: StepOutcome) => Promise<RecordResult>;
}

/** Two transactions of a kind may be under way: one commits while the next one fills. */
const BATCH = {
  maxItems: 64,
  concurrency: 2,
  retryAlone: (error: unknown) => !(error instanceof LedgerUnavailable),
} as const;

/**
 * Claims are made in the name of `worker` and last for `leaseMs`. The items of a transaction that fails are tried again alone,
 * so that none harms the others; while the ledger is away all of them fail.
 *
 * A claim whose answer got lost may have been made: the step would stand still until its lease runs out, and count a death of
 * a worker that lives. So the next claim of such a step says that it may be ours.
 */
export function createLedgerGateway(database: Database, worker: string, leaseMs: number): LedgerGateway {
  const inDoubt = new Set<string>();

  async function claim(wakes: readonly StepWake[]): Promise<(ClaimedStep | null)[]> {
    const names = wakes.map(({ jobId, key }) => `${jobId} ${key}`);
    const wanted = wakes.map(({ jobId, key }, at) => ({ jobId, key, again: inDoubt.has(names[at] ?? '') }));
    const claimed = await claimSteps(database, wanted, worker, leaseMs).catch((error: unknown) => {
      for (const name of names) inDoubt.add(name);
      throw error;
    });
    const unclaimed = new Map(claimed.map((step) => [`${step.jobId} ${step.key}`, step]));
    return names.map((name) => {
      inDoubt.delete(name);
      const step = unclaimed.get(name) ?? null;
      // Two wakes of one step in one batch: the claim goes to the first of them only.
      unclaimed.delete(name);
      return step;
    });
  }

  return {
    claimStep: gather(claim, BATCH),
    markSent: gather((departures: readonly Departure[]) => markSent(database, departures), BATCH),
    recordOutcome: gather((outcomes: readonly StepOutcome[]) => recordOutcomes(database, outcomes), BATCH),
  };
}
