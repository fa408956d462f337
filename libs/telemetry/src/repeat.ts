import type { Service } from '@millrace/contracts';

/**
 * A service that does something again and again, never twice at a time, while `when` holds (always, without it). The first
 * time is after `everyMs` like each other, or with the start if it is to be `atOnce`; nobody waits for it. Stopping waits
 * for the one under way. What `work` throws goes to `onError`, and it is done again all the same.
 */
export function createRepeat(options: {
  name: string;
  /** Between the end of one and the beginning of the next. */
  everyMs: number;
  atOnce?: boolean;
  when?: () => boolean;
  work: () => Promise<void>;
  onError: (error: unknown) => void;
}): Service {
  const { name, everyMs, atOnce = false, when = () => true, work, onError } = options;
  let timer: NodeJS.Timeout | null = null;
  let underWay: Promise<void> | null = null;
  let stopped = false;

  function run(): void {
    underWay = (when() ? work() : Promise.resolve()).catch(onError).finally(() => {
      underWay = null;
      schedule();
    });
  }

  function schedule(): void {
    if (!stopped) timer = setTimeout(run, everyMs);
  }

  return {
    name,
    async start() {
      stopped = false;
      if (atOnce) run();
      else schedule();
    },
    async stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
      await underWay;
    },
  };
}
