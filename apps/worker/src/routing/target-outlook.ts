import type { TargetView } from '@millrace/calls';
import type { BreakerState, CallSize, DomainLimits, PoolReading } from '@millrace/capacity';
import type { Service } from '@millrace/contracts';
import { expectedWaitMs } from './expected-wait.ts';

/** How the targets of the routes stand, as this process saw them lately. Looking costs no round trip. */
export interface TargetOutlook extends Service {
  /** Breaker and expected wait of a target for a call of this size; a target that no route names is taken to be fine. */
  look(target: string, size: CallSize): Omit<TargetView, 'usable'>;
  /** Counts a call that was placed, until the next reading sees it in the queue. */
  notePlaced(pool: string): void;
}

export interface TargetOutlookOptions {
  /** All that routes name. */
  targets: readonly string[];
  poolOf: (target: string) => string;
  limitsOf: (pool: string) => DomainLimits;
  readPool: (pool: string) => Promise<PoolReading | null>;
  /** Calls that wait in a pool's queue. */
  measureBacklog: (pool: string) => Promise<number>;
  breakerState: (target: string) => Promise<BreakerState>;
  /** Without Redis nothing is read, and everything is taken to be fine. */
  isReady: () => boolean;
  onError: (error: unknown) => void;
  /** Monotonic, in ms. */
  now: () => number;
}

/** While nobody looks, readings are this old at most. */
const IDLE_MS = 1_000;
/** Whoever looks at a reading that is older than this has it renewed for the next one. */
const FRESH_MS = 250;

interface PoolView {
  reading: PoolReading | null;
  backlog: number;
}

/** Reads pools and breakers once a second, and four times while steps are being placed. */
export function createTargetOutlook(options: TargetOutlookOptions): TargetOutlook {
  const { targets, poolOf, limitsOf, now } = options;
  const pools = [...new Set(targets.map(poolOf))];
  let views = new Map<string, PoolView>();
  let breakers = new Map<string, BreakerState>();
  let readAt = -Infinity;
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> | null = null;

  async function read(): Promise<void> {
    readAt = now();
    if (!options.isReady()) {
      views = new Map();
      breakers = new Map();
      return;
    }
    try {
      const [readings, states] = await Promise.all([
        Promise.all(pools.map(readPool)),
        Promise.all(targets.map((target) => options.breakerState(target))),
      ]);
      views = new Map(pools.map((pool, index) => [pool, readings[index] ?? { reading: null, backlog: 0 }]));
      breakers = new Map(targets.map((target, index) => [target, states[index] ?? 'closed']));
    } catch (error) {
      options.onError(error);
    }
  }

  async function readPool(pool: string): Promise<PoolView> {
    const [reading, backlog] = await Promise.all([options.readPool(pool), options.measureBacklog(pool)]);
    return { reading, backlog };
  }

  function renew(): void {
    underWay ??= read().finally(() => {
      underWay = null;
    });
  }

  return {
    name: 'target outlook',
    async start() {
      renew();
      timer = setInterval(renew, IDLE_MS);
    },
    async stop() {
      if (timer) clearInterval(timer);
      timer = null;
      await underWay;
    },
    look(target, size) {
      if (now() - readAt > FRESH_MS) renew();
      const pool = poolOf(target);
      const view = views.get(pool);
      const waitMs = view ? expectedWaitMs(view.reading, view.backlog, size, limitsOf(pool)) : 0;
      return { breaker: breakers.get(target) ?? 'closed', expectedWaitMs: waitMs };
    },
    notePlaced(pool) {
      const view = views.get(pool);
      if (view) view.backlog += 1;
    },
  };
}
