import { chooseTarget, hashRequest } from '@millrace/calls';
import type { ChosenTarget, RouteTable, TargetChoice, TargetView } from '@millrace/calls';
import type { CallSize } from '@millrace/capacity';
import type { DegradedMode, LiveTarget } from '@millrace/config';
import type { StepRequest } from '@millrace/contracts';
import { estimateSize } from './estimate-size.ts';
import type { TargetOutlook } from './target-outlook.ts';

/** Where a new step goes, in the shape in which the ledger takes it. */
export interface Destination {
  target: string;
  pool: string;
  /** Set when the route is down and the target its last resort. */
  degraded?: 'cheapest';
  /** On routes that may give stale answers: what identical requests have in common. */
  requestHash?: string;
}

/** Chooses targets by the routes as they are in force and by how the targets stand. Costs no round trip. */
export interface TargetRouter {
  /** Null when no target of the route or model can ever be called from here. */
  place(request: StepRequest): Destination | null;
  /**
   * Where else a step may go that is at `target` and has given up on `spent`; null for a call that names its model.
   * `accepts` narrows the choice.
   */
  chooseAnother(step: RoutedStep, accepts?: (target: string) => boolean): ChosenTarget | null;
  /** The targets of a route that are not switched off; none for a call that names its model. */
  targetsOf(route: string | null): string[];
  /** Whether a target was switched off for the calls of a route (null: for those that name it). */
  isOff(route: string | null, target: string): boolean;
  /** What the step's route does while it is down; `use` only while that target works. */
  degradedMode(step: RoutedStep): DegradedMode;
}

/** What the choice of a target needs to know of a step. */
export interface RoutedStep {
  route: string | null;
  target: string;
  spentTargets: readonly string[];
  request: StepRequest;
}

export interface TargetRouterOptions {
  table: RouteTable;
  outlook: TargetOutlook;
  /** Whether the provider of a target can be called from this process. */
  isUsable: (target: string) => boolean;
  poolOf: (target: string) => string;
  defaultMaxOutputTokens: number;
  /** What calls of a route, or of a target that they name themselves, get lately; null while nothing is known. */
  usualOutputTokens: (asked: string) => number | null;
  random: () => number;
  /** A new step goes to the last resort of its route. */
  onLastResort: () => void;
}

export function createTargetRouter(options: TargetRouterOptions): TargetRouter {
  const { table, outlook, isUsable, poolOf, random } = options;

  const sizeOf = (request: StepRequest): CallSize => {
    const asked = request.route ?? request.model;
    const usual = asked === null ? null : options.usualOutputTokens(asked);
    return estimateSize(request, options.defaultMaxOutputTokens, usual);
  };

  const choose = (
    choice: TargetChoice,
    spent: readonly string[],
    request: StepRequest,
    accepts: (target: string) => boolean = () => true,
  ): ChosenTarget | null => {
    const size = sizeOf(request);
    const look = (target: string): TargetView => ({
      usable: isUsable(target) && accepts(target),
      ...outlook.look(target, size),
    });
    return chooseTarget(choice, table.current(), spent, look, random());
  };

  const listed = (route: string | null): LiveTarget[] => {
    const live = route === null ? undefined : table.current().routes.get(route);
    return live ? [...live.targets, ...live.fallback] : [];
  };

  const isOff = (route: string | null, target: string): boolean =>
    table.current().off.has(target) ||
    listed(route).some((live) => live.target === target && live.off !== null);

  const degradedModeOf = (route: string | null, request: StepRequest): DegradedMode => {
    const mode = (route === null ? undefined : table.current().routes.get(route))?.degraded;
    if (!mode) return { kind: 'wait' };
    if (mode.kind !== 'use') return mode;
    const works =
      choose({ route: null, model: mode.target }, [], request)?.kind === 'healthy' &&
      outlook.look(mode.target, sizeOf(request)).breaker === 'closed';
    return works ? mode : { kind: 'wait' };
  };

  return {
    place(request) {
      const chosen = choose(request, [], request);
      if (!chosen) return null;
      const mode = degradedModeOf(request.route, request);
      const lastResort = chosen.kind === 'down' && mode.kind === 'use' ? mode.target : null;
      const target = lastResort ?? chosen.target;
      const pool = poolOf(target);
      if (lastResort !== null) options.onLastResort();
      outlook.notePlaced(pool);
      return {
        target,
        pool,
        ...(lastResort === null ? {} : { degraded: 'cheapest' }),
        ...(mode.kind === 'stale' ? { requestHash: hashRequest(request) } : {}),
      };
    },
    chooseAnother({ route, target, spentTargets, request }, accepts) {
      if (route === null) return null;
      const chosen = choose({ route, model: null }, [...spentTargets, target], request, accepts);
      // One to wait at is of use only where it may come back by itself.
      return chosen && !isOff(route, chosen.target) ? chosen : null;
    },
    targetsOf: (route) => listed(route).flatMap(({ target, off }) => (off === null ? [target] : [])),
    isOff,
    degradedMode: ({ route, request }) => degradedModeOf(route, request),
  };
}
