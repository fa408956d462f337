import type { Fleet } from '@millrace/capacity';
import type { ScalingPlan, Service } from '@millrace/contracts';
import { createRepeat } from '@millrace/telemetry';

/** What the leading scheduler last said of the fleet. */
export interface FleetPlan extends Service {
  /** null when nobody plans, or when it could not be read for ten seconds. */
  readonly current: ScalingPlan | null;
}

const EVERY_MS = 1_000;
const OLD_AFTER_MS = 10_000;

/** Reads the plan once a second, so that no request has to. `now` is monotonic, in ms. */
export function createFleetPlan(options: {
  fleet: Pick<Fleet, 'readPlan'>;
  onError: (error: unknown) => void;
  now?: () => number;
}): FleetPlan {
  const { fleet, onError, now = () => performance.now() } = options;
  let known: { plan: ScalingPlan | null; until: number } = { plan: null, until: 0 };
  const repeat = createRepeat({
    name: 'fleet plan',
    everyMs: EVERY_MS,
    atOnce: true,
    work: async () => {
      known = { plan: await fleet.readPlan(), until: now() + OLD_AFTER_MS };
    },
    onError,
  });
  return {
    ...repeat,
    get current() {
      return known.until > now() ? known.plan : null;
    },
  };
}
