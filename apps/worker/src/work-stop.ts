import type { Service } from '@millrace/contracts';
import type { Claims } from './calls/claims.ts';
import type { TaskGroup } from './task-group.ts';

/**
 * Starts the consumers, and stops them so that no attempt is lost: they take no more wakes at once, calls under way may
 * finish within the grace time, what is left then is ended and handed back. Draining waits for all of them: the time-out of
 * calls bounds it.
 */
export function createWorkStop(options: {
  consumers: readonly Service[];
  claims: Claims;
  tasks: TaskGroup;
  /** Aborted when the stop begins, so that nobody goes on waiting for a ledger that is away. */
  stopping: AbortController;
  graceMs: number;
  onStarted: () => void;
}): Service & { drain(): Promise<void> } {
  let idle: Promise<unknown> | null = null;
  // A consumer that is told a second time waits for nothing.
  const takeNoMore = (): Promise<unknown> =>
    (idle ??= Promise.all(options.consumers.map((consumer) => consumer.stop())));

  return {
    name: 'work',
    async start() {
      idle = null;
      await Promise.all(options.consumers.map((consumer) => consumer.start()));
      options.onStarted();
    },
    async drain() {
      await takeNoMore();
    },
    async stop() {
      options.stopping.abort();
      const timer = setTimeout(() => options.claims.abortAll('shutdown'), options.graceMs);
      await takeNoMore();
      clearTimeout(timer);
      await options.tasks.idle();
    },
  };
}
