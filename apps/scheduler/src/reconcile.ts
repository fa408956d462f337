import { hasDefect } from '@millrace/faults';
import { extendClaims, findOverdue, postponeOverdue, wakeEverything } from '@millrace/ledger';
import type { Database, Overdue } from '@millrace/ledger';
import type { Producer } from '@millrace/transport';
import type { LedgerSilence } from './ledger-silence.ts';

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
  /** After which silences of the ledger holders get a new lease: also those that this process lived through without leading. */
  silence: LedgerSilence;
  leaseMs: number;
}

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
  const { database, producer, silence } = dependencies;

  return {
    async sweep() {
      if (hasDefect('skip-reconciler')) return;
      await forgiveOutage();
      if (!(await dependencies.transportIsWhole())) {
        dependencies.onLoss(await wakeEverything(database));
        await dependencies.markTransport();
      }
      for (;;) {
        const overdue = await look();
        // The ledger came back while it was asked: the next sweep gives the new term first.
        if (silence.owesTerm) return;
        await enqueue(overdue);
        await postponeOverdue(database, overdue);
        report(overdue);
        if (Math.max(overdue.jobs.length, overdue.deliveries.length, waiting(overdue)) < AT_A_TIME) return;
      }
    },
  };

  /** While the ledger was away nobody could renew a lease, so an expired one says nothing about its holder. */
  async function forgiveOutage(): Promise<void> {
    if (!silence.owesTerm) return;
    const extended = await extendClaims(database, dependencies.leaseMs);
    silence.settle();
    dependencies.onReconciled('claim_extended', extended);
  }

  async function look(): Promise<Overdue> {
    try {
      const overdue = await findOverdue(database, AT_A_TIME);
      silence.heard(true);
      return overdue;
    } catch (error) {
      silence.heard(false);
      throw error;
    }
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
