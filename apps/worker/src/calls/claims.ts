import type { AbortReason } from '@millrace/calls';
import type { Service } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { ClaimedStep } from '@millrace/ledger';

/** A step that this process holds, with the signal that ends its call. Its `reason` is an {@link AbortReason}. */
export interface HeldClaim {
  step: ClaimedStep;
  signal: AbortSignal;
  release(): void;
}

/** The steps that this process holds, renewed while it lives. */
export interface Claims extends Service {
  hold(step: ClaimedStep): HeldClaim;
  /** Ends calls of a job: all, or those of some steps. */
  abortJob(jobId: string, keys: readonly string[] | null): void;
  abortAll(reason: AbortReason): void;
  /** Whether this claim is the oldest one held here of those whose steps `among` accepts. */
  isFirst(claim: HeldClaim, among: (step: ClaimedStep) => boolean): boolean;
  /** How many claims are held here of steps that `which` accepts. */
  count(which: (step: ClaimedStep) => boolean): number;
  readonly size: number;
}

interface Entry {
  step: ClaimedStep;
  controller: AbortController;
}

export interface ClaimsOptions {
  leaseMs: number;
  /** Renews leases in the ledger and returns the claims that are lost. */
  renew: (steps: readonly ClaimedStep[]) => Promise<ClaimedStep[]>;
  onError: (error: unknown) => void;
}

/**
 * Keeps the leases of what a process holds. States of a claim: held → released, or held → aborted → released. A claim that
 * the ledger says is lost is aborted: somebody else runs the step, or the job has ended.
 */
export function createClaims(options: ClaimsOptions): Claims {
  const held = new Map<string, Entry>();
  let timer: NodeJS.Timeout | null = null;
  let renewing = false;

  const nameOf = (step: ClaimedStep): string => `${step.jobId} ${step.key} ${step.fence}`;
  const abort = (entry: Entry, reason: AbortReason): void => entry.controller.abort(reason);

  async function renewAll(): Promise<void> {
    if (renewing || held.size === 0 || hasDefect('renew-nothing')) return;
    renewing = true;
    try {
      const lost = await options.renew([...held.values()].map((entry) => entry.step));
      for (const step of lost) {
        const entry = held.get(nameOf(step));
        if (entry) abort(entry, 'lost');
      }
    } catch (error) {
      options.onError(error);
    } finally {
      renewing = false;
    }
  }

  return {
    name: 'claims',
    async start() {
      timer = setInterval(() => void renewAll(), options.leaseMs / 3);
    },
    async stop() {
      if (timer) clearInterval(timer);
      timer = null;
    },
    hold(step) {
      const entry: Entry = { step, controller: new AbortController() };
      held.set(nameOf(step), entry);
      return { step, signal: entry.controller.signal, release: () => held.delete(nameOf(step)) };
    },
    abortJob(jobId, keys) {
      for (const entry of held.values()) {
        if (entry.step.jobId === jobId && (keys === null || keys.includes(entry.step.key)))
          abort(entry, 'cancelled');
      }
    },
    abortAll(reason) {
      for (const entry of held.values()) abort(entry, reason);
    },
    isFirst(claim, among) {
      // A map gives its entries in the order in which they came.
      for (const { step } of held.values()) if (among(step)) return step === claim.step;
      return false;
    },
    count(which) {
      return [...held.values()].filter(({ step }) => which(step)).length;
    },
    get size() {
      return held.size;
    },
  };
}
