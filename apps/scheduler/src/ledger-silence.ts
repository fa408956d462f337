/** What this process knows of the ledger's last silence. */
export interface LedgerSilence {
  /** Told whenever the ledger was asked, by the one who leads and by those who follow: whether it answered. */
  heard: (reached: boolean) => void;
  /** Whether the holders of steps are owed a new term: for long nobody could renew, and they have not had the time to since. */
  readonly owesTerm: boolean;
  /** The new term was given. */
  settle: () => void;
}

export interface LedgerSilenceOptions {
  now: () => number;
  /** How often the ledger is asked at least: what lies between two questions is no silence. */
  askedEveryMs: number;
  /** From how long a silence on leases may run out whose holders live. */
  outageMs: number;
  /** How long a lease lasts: whoever lives has renewed when so much has passed since the silence. */
  leaseMs: number;
}

/**
 * States: reached ↔ silent. A silence that was long enough owes one term, from when it is long enough until the term is given or a
 * lease's time after its end has passed. A process that finds the ledger silent as it starts cannot know since when: it counts as
 * long enough. A process that was frozen, perhaps with all others, has heard nothing either.
 */
export function createLedgerSilence(options: LedgerSilenceOptions): LedgerSilence {
  const { now, askedEveryMs, outageMs, leaseMs } = options;
  let reachedAt: number | null = null;
  let hasFailed = false;
  let owedUntil = -Infinity;

  function isLong(): boolean {
    if (reachedAt === null) return hasFailed;
    return now() - reachedAt >= (hasFailed ? outageMs : Math.max(outageMs, 2 * askedEveryMs));
  }

  function reach(): void {
    reachedAt = now();
    hasFailed = false;
  }

  return {
    heard(reached) {
      if (!reached) {
        hasFailed = true;
        return;
      }
      if (isLong()) owedUntil = now() + leaseMs;
      reach();
    },
    get owesTerm() {
      return isLong() || now() < owedUntil;
    },
    settle() {
      owedUntil = -Infinity;
      reach();
    },
  };
}
