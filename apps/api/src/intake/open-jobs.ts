import { ProblemError } from '@millrace/contracts';
import type { Service } from '@millrace/contracts';
import { countOpenJobs } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import type { Identity } from '../http/request-context.ts';

/** Knows roughly how many jobs are open, to refuse work that would only wait. */
export interface OpenJobs extends Service {
  /** Throws `queue_full` or `tenant_limit_exceeded`; else counts the job in. */
  admit(auth: Identity): void;
}

export interface OpenJobsOptions {
  database: Queryable;
  maxOpenJobs: number;
  /** For tenants without a limit of their own. */
  maxOpenJobsPerTenant: number;
  onError: (error: unknown) => void;
  /** Milliseconds on a clock that is never set. */
  now: () => number;
}

const REFRESH_MS = 1_000;
/** Counting a million open jobs takes a while; it may use one part in this many of the time. */
const REST_FACTOR = 20;
const RETRY_MS = 5_000;
/** A count that fails for so long is believed no more: what was counted before only ever grows, whatever has ended since. */
const BELIEVED_MS = 60_000;

/**
 * The count is read from the ledger about once a second; what this process accepts in between is added. With several processes the
 * limit can be passed by what they accept together in a second: it protects the ledger from floods and need not be exact. While
 * the ledger has not been counted for a minute nobody is refused.
 */
export function createOpenJobs(options: OpenJobsOptions): OpenJobs {
  let counted = new Map<string, number>();
  /** Accepted since the count under way began: it may or may not have seen them. */
  let recent = new Map<string, number>();
  let total = 0;
  let failingSince: number | null = null;
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> = Promise.resolve();
  let stopped = false;

  const refresh = async (): Promise<void> => {
    const startedAt = options.now();
    let pauseMs = REFRESH_MS;
    recent = new Map();
    try {
      counted = await countOpenJobs(options.database);
      for (const [tenantId, accepted] of recent) increase(counted, tenantId, accepted);
      total = [...counted.values()].reduce((sum, open) => sum + open, 0);
      failingSince = null;
      pauseMs = Math.max(REFRESH_MS, (options.now() - startedAt) * REST_FACTOR);
    } catch (error) {
      options.onError(error);
      failingSince ??= startedAt;
      pauseMs = RETRY_MS;
    }
    if (!stopped) timer = setTimeout(begin, pauseMs);
  };
  const begin = (): void => {
    underWay = refresh();
  };
  const refuseBeyond = ({ tenantId, maxOpenJobs }: Identity): void => {
    if (total >= options.maxOpenJobs) {
      throw new ProblemError('queue_full', 'Too many jobs are open; none was accepted.', {
        retryAfterMs: RETRY_MS,
      });
    }
    const limit = maxOpenJobs ?? options.maxOpenJobsPerTenant;
    if ((counted.get(tenantId) ?? 0) >= limit) {
      throw new ProblemError('tenant_limit_exceeded', `The tenant may have ${limit} jobs open.`, {
        retryAfterMs: RETRY_MS,
      });
    }
  };

  return {
    name: 'open jobs',
    async start() {
      begin();
    },
    async stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
      await underWay;
    },
    admit(auth) {
      if (failingSince === null || options.now() - failingSince < BELIEVED_MS) refuseBeyond(auth);
      increase(counted, auth.tenantId, 1);
      increase(recent, auth.tenantId, 1);
      total += 1;
    },
  };
}

function increase(counts: Map<string, number>, tenantId: string, by: number): void {
  counts.set(tenantId, (counts.get(tenantId) ?? 0) + by);
}
