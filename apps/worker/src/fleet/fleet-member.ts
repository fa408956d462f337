import { shareOf } from '@millrace/capacity';
import type { Fleet } from '@millrace/capacity';
import type { ScalingPlan, Service } from '@millrace/contracts';
import { createRepeat } from '@millrace/telemetry';
import type { PoolMeter } from './pool-meter.ts';

export interface FleetMemberOptions {
  fleet: Fleet;
  worker: string;
  /** Calls that this process can run at a time, per pool. */
  capacity: number;
  meter: PoolMeter;
  /** By pool: sets how many of its calls run at a time. */
  consumers: ReadonlyMap<string, { setConcurrency(concurrency: number): void }>;
  onError: (error: unknown) => void;
}

/** Often enough that a burst, a worker that joins and one that dies are followed within seconds. */
const EVERY_MS = 1_000;

/**
 * Makes this worker one of the fleet: says that it lives and what it does, and takes its share of what each pool was
 * granted. Until it is counted, and without a plan (no scheduler, no Redis), it keeps what it has: everything that it can
 * carry, at first. One that drains is none of the fleet any more, though it still has calls.
 */
export function createFleetMember(options: FleetMemberOptions): Service {
  const { fleet, worker, capacity, meter, consumers, onError } = options;
  const shares = new Map<string, number>();
  let stopped = false;

  const apply = (plan: ScalingPlan): void => {
    for (const [pool, consumer] of consumers) {
      const granted = plan.pools[pool]?.granted;
      const servers = plan.workers.filter((each) => each.pools.includes(pool));
      const share = granted === undefined ? null : shareOf(granted, servers, worker);
      const wanted = Math.min(share ?? capacity, capacity);
      if (wanted === (shares.get(pool) ?? capacity)) continue;
      shares.set(pool, wanted);
      consumer.setConcurrency(wanted);
    }
  };
  const look = async (): Promise<void> => {
    await fleet.announce({ id: worker, capacity, pools: meter.read() });
    const plan = await fleet.readPlan();
    if (plan && !stopped) apply(plan);
  };
  const looks = createRepeat({ name: 'fleet member', everyMs: EVERY_MS, atOnce: true, work: look, onError });
  const leave = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await looks.stop();
    await fleet.leave(worker).catch(onError);
  };

  return {
    name: looks.name,
    async start() {
      stopped = false;
      await looks.start();
    },
    drain: leave,
    stop: leave,
  };
}
