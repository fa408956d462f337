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
 */
export function createLedgerGateway(database: Database, worker: string, leaseMs: number): LedgerGateway {
  return {
    claimStep: gather(async (wakes: readonly StepWake[]) => {
      const claimed = await claimSteps(database, wakes, worker, leaseMs);
      const unclaimed = new Map(claimed.map((step) => [`${step.jobId} ${step.key}`, step]));
      return wakes.map((wake) => {
        const name = `${wake.jobId} ${wake.key}`;
        const step = unclaimed.get(name) ?? null;
        // Two wakes of one step in one batch: the claim goes to the first of them only.
        unclaimed.delete(name);
        return step;
      });
    }, BATCH),
    markSent: gather((departures: readonly Departure[]) => markSent(database, departures), BATCH),
    recordOutcome: gather((outcomes: readonly StepOutcome[]) => recordOutcomes(database, outcomes), BATCH),
  };
}
