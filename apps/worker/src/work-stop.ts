import type { Service } from '@millrace/contracts';
import type { Claims } from './calls/claims.ts';
import type { TaskGroup } from './task-group.ts';

/**
 * Starts the consumers, and stops them so that no attempt is lost: they take no more wakes at once, calls under way may
 * finish within the grace time, what is left then is ended and handed back.
 */
export function createWorkStop(options: {
  consumers: readonly Service[];
  claims: Claims;
  tasks: TaskGroup;
  /** Aborted when the stop begins, so that nobody goes on waiting for a ledger that is away. */
  stopping: AbortController;
  graceMs: number;
  onStarted: () => void;
}): Service {
  return {
    name: 'work',
    async start() {
      await Promise.all(options.consumers.map((consumer) => consumer.start()));
      options.onStarted();
    },
    async stop() {
      options.stopping.abort();
      const timer = setTimeout(() => options.claims.abortAll('shutdown'), options.graceMs);
      await Promise.all(options.consumers.map((consumer) => consumer.stop()));
      clearTimeout(timer);
      await options.tasks.idle();
    },
  };
}
