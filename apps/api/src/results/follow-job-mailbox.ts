import type { LiveMessage, LiveWatcher } from '@millrace/transport';

/** What a follower has not looked at yet. */
export interface Mailbox extends LiveWatcher {
  /**
   * The oldest message, at once if there is one; `missed` when some were lost; `quiet` when none came in `quietMs` or the
   * signal was aborted.
   */
  next(quietMs: number, signal: AbortSignal): Promise<LiveMessage | 'missed' | 'quiet'>;
  /** Forgets everything: the caller is about to read it from the record. */
  clear(): void;
}

/**
 * Collects a job's messages for one follower: collecting → overflown (more than `size`, or a gap of the connection: all
 * later ones are dropped) → collecting, with `clear`. So a slow follower costs a bounded amount of memory.
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
      if (!message) return missed ? 'missed' : 'quiet';
      taken += 1;
      if (taken === messages.length) [messages, taken] = [[], 0];
      return message;
    },
    clear() {
      [messages, taken, missed] = [[], 0, false];
    },
  };
}
