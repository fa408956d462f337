import { hasDefect } from '@millrace/faults';
import { extendClaims, findOverdue, postponeOverdue, wakeEverything } from '@millrace/ledger';
import type { Database, Overdue } from '@millrace/ledger';
import type { Producer } from '@millrace/transport';

export interface ReconcileDependencies {
  database: Database;
  producer: Producer;
  /** False when Redis has lost its content, or is new. */
  transportIsWhole: () => Promise<boolean>;
  /** The pool in whose queue a step's wake is found: its own, unless the configuration has that no more. */
  poolOf: (step: { pool: string; target: string }) => string;
  /** Says that what was lost has been made due again; until then every sweep does it. */
  markTransport: () => Promise<void>;
  /** Told after a loss how many rows waited for wakes. */
  onLoss: (waiting: number) => void;
  onReconciled: (kind: 'job' | 'step' | 'delivery' | 'claim_extended', count: number) => void;
  now: () => number;
  /** How long a silence of the ledger must have been before holders get a new lease after it. */
  outageMs: number;
  leaseMs: number;
}

/** Remembers when the ledger was last reached. */
export interface Reconciler {
  /** One sweep. Throws when the ledger or the transport is away; the next sweep does what this one could not. */
  sweep(): Promise<void>;
}

const AT_A_TIME = 1_000;

/**
 * Puts what is overdue back on the queues. The ledger decides what is overdue; the transport collapses wakes that are
 * there already; a wake too many only makes a worker look.
 */
export function createReconciler(dependencies: ReconcileDependencies): Reconciler {
  const { database, producer } = dependencies;
  let reachedAt: number | null = null;

  return {
    async sweep() {
      if (hasDefect('skip-reconciler')) return;
      await forgiveOutage();
      if (!(await dependencies.transportIsWhole())) {
        dependencies.onLoss(await wakeEverything(database));
        await dependencies.markTransport();
      }
      for (;;) {
        const overdue = await findOverdue(database, AT_A_TIME);
        reachedAt = dependencies.now();
        await enqueue(overdue);
        await postponeOverdue(database, overdue);
        report(overdue);
        if (Math.max(overdue.jobs.length, overdue.deliveries.length, waiting(overdue)) < AT_A_TIME) return;
      }
    },
  };

  /** While the ledger was away nobody could renew a lease, so an expired one says nothing about its holder. */
  async function forgiveOutage(): Promise<void> {
    const silentMs = reachedAt === null ? 0 : dependencies.now() - reachedAt;
    if (silentMs < dependencies.outageMs) return;
    dependencies.onReconciled('claim_extended', await extendClaims(database, dependencies.leaseMs));
    reachedAt = dependencies.now();
  }

  async function enqueue(overdue: Overdue): Promise<void> {
    await producer.enqueueJobs(overdue.jobs);
    await producer.enqueueSteps(overdue.steps.map((step) => ({ ...step, pool: dependencies.poolOf(step) })));
    await producer.enqueueDeliveries(overdue.deliveries);
  }

  function report(overdue: Overdue): void {
    dependencies.onReconciled('job', overdue.jobs.length);
    dependencies.onReconciled('step', overdue.steps.length);
    dependencies.onReconciled('delivery', overdue.deliveries.length);
  }
}

/** Steps that a dead worker holds stay overdue until they are taken over, so they must not keep the sweep going. */
function waiting(overdue: Overdue): number {
  return overdue.steps.filter((step) => step.isPending).length;
}
