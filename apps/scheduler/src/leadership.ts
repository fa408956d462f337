import type { Service } from '@millrace/contracts';

/** Whether this process leads now. */
export interface Leadership extends Service {
  readonly leads: boolean;
}

export interface LeadershipOptions {
  leaseMs: number;
  /** Takes or renews the lease; true when we have it. */
  hold: () => Promise<boolean>;
  release: () => Promise<void>;
  /** Told of every try to hold the lease whether the ledger answered, before the leader begins with anything. */
  heard: (reached: boolean) => void;
  onChange: (leads: boolean) => void;
  onError: (error: unknown) => void;
  now: () => number;
}

/** How often the lease is taken or renewed. */
export const renewEveryMs = (leaseMs: number): number => leaseMs / 3;

/**
 * States: follows ↔ leads. It leads from a successful renewal until the lease's end by its own clock, so a process that
 * was frozen or cut off stops leading by itself before another one may begin.
 */
export function createLeadership(options: LeadershipOptions): Leadership {
  let timer: NodeJS.Timeout | null = null;
  let leadsUntil = 0;
  let announced = false;

  const leads = (): boolean => options.now() < leadsUntil;

  function announce(): void {
    if (leads() === announced) return;
    announced = leads();
    options.onChange(announced);
  }

  async function renew(): Promise<void> {
    const asked = options.now();
    try {
      const holds = await options.hold();
      options.heard(true);
      leadsUntil = holds ? asked + options.leaseMs : 0;
    } catch (error) {
      options.heard(false);
      options.onError(error);
    }
    announce();
  }

  return {
    name: 'leadership',
    async start() {
      await renew();
      timer = setInterval(() => void renew(), renewEveryMs(options.leaseMs));
    },
    async stop() {
      if (timer) clearInterval(timer);
      timer = null;
      const led = leads();
      leadsUntil = 0;
      announce();
      if (led) await options.release().catch(options.onError);
    },
    get leads() {
      return leads();
    },
  };
}
