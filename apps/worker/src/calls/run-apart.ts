import type { RetryPolicy } from '@millrace/config';
import type { ClaimedStep } from '@millrace/ledger';
import type { Claims, HeldClaim } from './claims.ts';

/** What it takes to keep steps apart. */
export interface RunApartDependencies {
  claims: Pick<Claims, 'isFirst' | 'count'>;
  policy: Pick<RetryPolicy, 'maxDeaths'>;
  pause: (ms: number) => Promise<void>;
}

const LOOK_EVERY_MS = 100;
/** Steps that died together come back together: so long it takes until the others are here and handed back again. */
const LEAST_LOOKS = 5;
/** So many others that one of them is always about to be handed back must not keep it waiting. */
const MOST_LOOKS = 20;

/**
 * Whether a step may run here now. Steps that were there whenever a worker died may be its killers or only its neighbours.
 * One that has a single death left runs with no other such step in this process, so that the next death names the killer: the
 * first of them here waits until the others have been handed back (half a second, two at most), and the others may not run.
 */
export async function mayRun(
  { claims, policy, pause }: RunApartDependencies,
  held: HeldClaim,
): Promise<boolean> {
  const isSuspect = ({ deaths }: ClaimedStep): boolean => deaths > 0 && deaths === policy.maxDeaths - 1;
  if (!isSuspect(held.step)) return true;
  if (!claims.isFirst(held, isSuspect)) return false;
  for (let looks = 0; looks < MOST_LOOKS && !held.signal.aborted; looks += 1) {
    if (looks >= LEAST_LOOKS && claims.count(isSuspect) === 1) break;
    await pause(LOOK_EVERY_MS);
  }
  return true;
}
