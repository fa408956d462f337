import { hashRequest, longWaitMs, prepareCall } from '@millrace/calls';
import type { Happening, LastResort, PrepareOptions, Situation } from '@millrace/calls';
import type { BreakerState, Breakers, CapacityBook, OutputEstimator } from '@millrace/capacity';
import type { Json } from '@millrace/contracts';
import type { ClaimedStep } from '@millrace/ledger';
import { likenessOf } from '../calls/likeness-of.ts';
import type { TargetRouter } from './router.ts';

export interface WayOnDependencies extends PrepareOptions {
  router: TargetRouter;
  breakers: Breakers;
  capacity: CapacityBook;
  /** How long answers usually get: a pool that counts them as they are produced is asked for no more. */
  estimator: OutputEstimator;
  poolOf: (target: string) => string;
  /** The answer that an identical request of the tenant got within a time. */
  findEarlierAnswer: (
    step: ClaimedStep,
    requestHash: string,
    withinMs: number,
  ) => Promise<{ output: Json } | null>;
}

/** Where a step can go from where it is, as far as what happened makes that a question. */
export type WayOn = Pick<Situation, 'nextTarget' | 'freeTarget' | 'lastResort'>;

const STAYS: WayOn = { nextTarget: null, freeTarget: null, lastResort: null };

/**
 * Looks for a way on after what happened to a step. Breakers and book are asked anew here (breakers answer from what they
 * heard in the last 250 ms): a step that moves on the strength of old news would be sent back at once, and again.
 */
export async function findWayOn(
  dependencies: WayOnDependencies,
  step: ClaimedStep,
  happening: Happening,
): Promise<WayOn> {
  const { router } = dependencies;
  switch (happening.kind) {
    case 'refused':
    case 'too_large':
      // It cannot stay, so one to wait at is better than none.
      return { ...STAYS, nextTarget: router.chooseAnother(step)?.target ?? null };
    case 'failed':
    case 'unexpected': {
      const states = await readBreakers(dependencies, step);
      const another = router.chooseAnother(step, (target) => states.get(target) !== 'open');
      return { ...STAYS, nextTarget: another?.kind === 'healthy' ? another.target : null };
    }
    case 'must_wait': {
      if (happening.delayMs <= longWaitMs) return STAYS;
      const [states, admitting] = await Promise.all([
        readBreakers(dependencies, step),
        findAdmitting(dependencies, step),
      ]);
      return leaveFor(router, step, (target) => states.get(target) === 'closed' && admitting.has(target));
    }
    case 'closed': {
      const states = await readBreakers(dependencies, step);
      const way = leaveFor(router, step, (target) => states.get(target) === 'closed');
      if (way.freeTarget !== null) return way;
      return { ...way, lastResort: await findLastResort(dependencies, step, states) };
    }
    default:
      return STAYS;
  }
}

function leaveFor(router: TargetRouter, step: ClaimedStep, accepts: (target: string) => boolean): WayOn {
  const another = router.chooseAnother(step, accepts);
  const freeTarget = another?.kind === 'healthy' ? another.target : null;
  return { nextTarget: freeTarget, freeTarget, lastResort: null };
}

type States = ReadonlyMap<string, BreakerState>;

/** The breakers of all targets of the step's route that are switched on, its own included. */
async function readBreakers({ router, breakers }: WayOnDependencies, step: ClaimedStep): Promise<States> {
  const targets = router.targetsOf(step.route);
  const states = await Promise.all(targets.map((target) => breakers.state(target)));
  return new Map(targets.map((target, index) => [target, states[index] ?? 'closed']));
}

/** The capacity book lets a call wait for so long with its booking (`HORIZON_MS` there): that is as good as at once. */
const AT_ONCE_MS = 2_000;

/** The targets whose pools would let this very call leave at once: one for which they have no room would wander. */
async function findAdmitting(
  dependencies: WayOnDependencies,
  step: ClaimedStep,
): Promise<ReadonlySet<string>> {
  const { router, capacity, estimator, poolOf } = dependencies;
  const targets = router.targetsOf(step.route).filter((target) => target !== step.target);
  const waits = await Promise.all(
    targets.map(async (target) => {
      const prepared = prepareCall({ ...step, target }, dependencies);
      if (!prepared) return Infinity;
      const { inputTokens, inputCharacters, chargedOutputTokens: maxOutputTokens } = prepared;
      const expectedOutputTokens = await estimator.estimate(
        likenessOf({ ...step, target }, maxOutputTokens),
        maxOutputTokens,
      );
      const size = { inputTokens, inputCharacters, maxOutputTokens, expectedOutputTokens };
      return capacity.quote(poolOf(target), size, step.priority);
    }),
  );
  return new Set(targets.filter((_, index) => (waits[index] ?? Infinity) <= AT_ONCE_MS));
}

async function findLastResort(
  { router, findEarlierAnswer }: WayOnDependencies,
  step: ClaimedStep,
  states: States,
): Promise<LastResort | null> {
  const mode = router.degradedMode(step);
  switch (mode.kind) {
    case 'wait':
      return null;
    case 'fail': {
      // A target that is just being tried again may be back in a moment.
      const mayBeBack = [...states].some(
        ([target, state]) => state !== 'open' && !step.spentTargets.includes(target),
      );
      return mayBeBack ? null : { kind: 'fail' };
    }
    case 'use':
      return mode.target === step.target ? null : { kind: 'use', target: mode.target };
    case 'stale': {
      const earlier = await findEarlierAnswer(step, hashRequest(step.request), mode.forMs);
      return earlier && { kind: 'answer', output: earlier.output };
    }
  }
}
