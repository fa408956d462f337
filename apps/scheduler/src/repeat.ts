import type { Service } from '@millrace/contracts';

/** Does something again and again, never twice at a time, while `when` holds. Stopping waits for the one under way. */
export function createRepeat(options: {
  name: string;
  everyMs: number;
  when: () => boolean;
  work: () => Promise<void>;
  onError: (error: unknown) => void;
}): Service {
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> | null = null;
  let stopped = false;

  function schedule(): void {
    if (stopped) return;
    timer = setTimeout(() => {
      underWay = (options.when() ? options.work() : Promise.resolve()).catch(options.onError).finally(() => {
        underWay = null;
        schedule();
      });
    }, options.everyMs);
  }

  return {
    name: options.name,
    async start() {
      stopped = false;
      schedule();
    },
    async stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
      await underWay;
    },
  };
}
