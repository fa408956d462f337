import type { Evidence, Violation } from '../observer/evidence.ts';
import { checkBatches } from './check-batches.ts';
import { checkClientBatches } from './check-client-batches.ts';
import { checkEndings } from './check-endings.ts';
import { checkFences } from './check-fences.ts';
import { checkIdempotency } from './check-idempotency.ts';
import { checkIntake } from './check-intake.ts';
import { checkPaidOnce } from './check-paid-once.ts';
import { checkPrivacy } from './check-privacy.ts';
import { checkPressure } from './check-pressure.ts';
import { checkRecovery } from './check-recovery.ts';
import { checkSilence } from './check-silence.ts';
import { checkStreams } from './check-streams.ts';
import { checkUsage } from './check-usage.ts';
import { checkWebhooks } from './check-webhooks.ts';

/** The invariants that the observer holds the product to: the numbers are those of the project's goals. */
export const invariants = {
  I1: { title: 'each job is accepted and reaches exactly one end, the right one', check: checkLives },
  I2: { title: 'same tenant and key, one job', check: checkIdempotency },
  I3: { title: 'each step paid once, or marked ambiguous and explained by a fault', check: checkPaidOnce },
  I4: { title: 'no answer of a stale worker accepted', check: checkFences },
  I5: { title: 'tokens in the ledger = tokens counted by the provider', check: checkUsage },
  I7: { title: 'no call before Retry-After, no hammering of an empty account', check: checkSilence },
  I8: { title: 'calls sent ÷ steps while a provider is down', check: checkPressure },
  I9: {
    title: 'each webhook signed and answered 2xx, or refused ten times; one stable id',
    check: checkWebhooks,
  },
  I10: { title: 'event streams without gap or double, across cuts', check: checkStreams },
  I11: { title: 'no other tenant reads anything, and no log shows a text or a key', check: checkPrivacy },
  I12: { title: 'first progress after a fault in time', check: checkRecovery },
  I15: { title: 'provider batches made once, no line lost or recorded twice', check: checkAllBatches },
} as const satisfies Record<string, { title: string; check: (evidence: Evidence) => Finding[] }>;

export type Invariant = keyof typeof invariants;

/** From the submission to the end. */
function checkLives(evidence: Evidence): Finding[] {
  return [...checkIntake(evidence), ...checkEndings(evidence)];
}

/** Of the product's batches at a provider, and of clients' batches at the product. */
function checkAllBatches(evidence: Evidence): Finding[] {
  return [...checkBatches(evidence), ...checkClientBatches(evidence)];
}

/** What one check has found; the invariant and the run are added here. */
export interface Finding {
  about: string;
  what: string;
}

/** Everything that is wrong in a run. */
export function check(evidence: Evidence): Violation[] {
  return Object.entries(invariants).flatMap(([invariant, { check: find }]) =>
    find(evidence).map((finding) => ({ invariant, run: evidence.run, ...finding })),
  );
}
