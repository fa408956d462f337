import { overlayRoutes } from '@millrace/config';
import type { LiveRoutes, RouteConfig } from '@millrace/config';
import type { RouteOverride, Service } from '@millrace/contracts';

/** The routes as they are in force, in this process. */
export interface RouteTable extends Service {
  current(): LiveRoutes;
  /** Looks into the ledger now; for when a change was announced. Does not throw. */
  refresh(): Promise<void>;
}

/** What a {@link RouteTable} needs. */
export interface RouteTableOptions {
  /** As configured. */
  routes: ReadonlyMap<string, RouteConfig>;
  /** What was changed at run time, from the ledger. */
  load: () => Promise<RouteOverride[]>;
  /** How often the ledger is asked; announcements only make it sooner. Default 1,000. */
  everyMs?: number;
  onError: (error: unknown) => void;
}

/**
 * Keeps the routes up to date: at the start, at each announcement, and once a second whatever happens, so that a change is in
 * force within two seconds also when its announcement was lost. While the ledger is away, what was known last stays in force.
 */
export function createRouteTable(options: RouteTableOptions): RouteTable {
  const { routes, load, everyMs = 1_000, onError } = options;
  let live = overlayRoutes(routes, []);
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> | null = null;
  let isAskedAgain = false;

  async function look(): Promise<void> {
    do {
      isAskedAgain = false;
      try {
        live = overlayRoutes(routes, await load());
      } catch (error) {
        onError(error);
      }
      // Who asks while the ledger is being read may know of a change that this reading has missed.
    } while (isAskedAgain);
  }

  function refresh(): Promise<void> {
    if (underWay) {
      isAskedAgain = true;
      return underWay;
    }
    underWay = look().finally(() => {
      underWay = null;
    });
    return underWay;
  }

  return {
    name: 'route table',
    current: () => live,
    refresh,
    async start() {
      await refresh();
      // A reading that takes longer than a second is not asked for again meanwhile.
      timer = setInterval(() => void (underWay ?? refresh()), everyMs);
    },
    async stop() {
      if (timer) clearInterval(timer);
      timer = null;
      await underWay;
    },
  };
}
