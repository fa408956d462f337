/**
 * Keeps retries from multiplying the load on a target that is down. Every first attempt earns a share of a retry; without
 * savings one retry per `trickleMs` may go, as a probe.
 */
export interface RetryBudget {
  earn(target: string): void;
  /** A retry has succeeded: the target is back, so twice as many may follow. */
  reward(target: string): void;
  /** True when a retry may go now; it is paid for then. */
  spend(target: string): boolean;
  /** Takes back what was spent on a retry that did not go after all: savings, or the period's probe. */
  refund(target: string): void;
}

export interface RetryBudgetOptions {
  /** Retries that one first attempt earns, such as 0.1. */
  share: number;
  /** Most savings, and what a target begins with. */
  most: number;
  /** Without savings one retry may go in each such time. */
  trickleMs: number;
  now: () => number;
}

const MOST_TARGETS = 1_000;

/** A budget per target, for one process; the fleet's is the sum. */
export function createRetryBudget(options: RetryBudgetOptions): RetryBudget {
  const accounts = new Map<string, { savings: number; lastTrickleAt: number; hasTrickled: boolean }>();
  const accountOf = (target: string) => {
    const account = accounts.get(target) ?? { savings: options.most, lastTrickleAt: 0, hasTrickled: false };
    accounts.delete(target);
    accounts.set(target, account);
    // Clients name models: those that were used least lately are forgotten.
    for (const oldest of accounts.keys()) {
      if (accounts.size <= MOST_TARGETS) break;
      accounts.delete(oldest);
    }
    return account;
  };
  return {
    earn(target) {
      const account = accountOf(target);
      account.savings = Math.min(options.most, account.savings + options.share);
    },
    reward(target) {
      const account = accountOf(target);
      account.savings = Math.min(options.most, account.savings + 2);
    },
    refund(target) {
      const account = accountOf(target);
      if (!account.hasTrickled) {
        account.savings = Math.min(options.most, account.savings + 1);
        return;
      }
      account.hasTrickled = false;
      account.lastTrickleAt = 0;
    },
    spend(target) {
      const account = accountOf(target);
      if (account.savings >= 1) {
        account.savings -= 1;
        return true;
      }
      if (options.now() - account.lastTrickleAt < options.trickleMs) return false;
      account.lastTrickleAt = options.now();
      account.hasTrickled = true;
      return true;
    },
  };
}
