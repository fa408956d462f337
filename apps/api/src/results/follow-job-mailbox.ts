import type { LiveMessage, LiveWatcher } from '@millrace/transport';

/** What a follower has not looked at yet. */
export interface Mailbox extends LiveWatcher {
  /**
   * The oldest message, at once if there is one; `missed`, once, when some were lost behind those; `quiet` when none came in
   * `quietMs` or the signal was aborted.
   */
  next(quietMs: number, signal: AbortSignal): Promise<LiveMessage | 'missed' | 'quiet'>;
}

/**
 * Collects a job's messages for one follower: collecting → overflown (more than `size`, or a gap of the connection: all
 * later ones are dropped) → collecting, as soon as that was said by `next`: the caller reads the record then. So a slow follower costs a bounded amount of memory.
 */
export function createMailbox(size: number): Mailbox {
  let messages: LiveMessage[] = [];
  let taken = 0;
  let missed = false;
  let wake: (() => void) | null = null;

  return {
    onMessage(message) {
      if (missed) return;
      if (messages.length - taken >= size) missed = true;
      else messages.push(message);
      wake?.();
    },
    onGap() {
      missed = true;
      wake?.();
    },
    async next(quietMs, signal) {
      if (taken === messages.length && !missed && quietMs > 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const finish = (): void => {
            clearTimeout(timer);
            signal.removeEventListener('abort', finish);
            wake = null;
            resolve();
          };
          const timer = setTimeout(finish, quietMs);
          signal.addEventListener('abort', finish);
          wake = finish;
        });
      }
      const message = messages[taken];
      if (!message) {
        const news = missed ? 'missed' : 'quiet';
        missed = false;
        return news;
      }
      taken += 1;
      if (taken === messages.length) [messages, taken] = [[], 0];
      return message;
    },
  };
}
