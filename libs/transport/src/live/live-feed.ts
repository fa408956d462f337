import { cancelNoticeSchema } from '@millrace/contracts';
import type { EventPosition, Service } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { parseLiveMessage } from './live-message.ts';
import type { LiveMessage, StoredDelta } from './live-message.ts';
import { openStreamTtlMs, withLiveScripts } from './live-scripts.ts';
import { readStoredDeltas } from './read-stored-deltas.ts';
import { createSubscriptions } from './subscriptions.ts';

/**
 * The receiving side of the live streams: one subscription connection for a whole process. A watcher may miss messages
 * while Redis is away; `onGap` tells it to catch up from the ledger and the stream.
 */
export interface LiveFeed extends Service {
  /**
   * Calls `watcher` for what happens to a job from now on; returns the function that ends it. Without Redis it returns
   * all the same: `onGap` follows when the subscription stands.
   */
  watch(jobId: string, watcher: LiveWatcher): Promise<() => void>;
  /** Whether announcements arrive at present, as far as the connection knows. */
  isConnected(): boolean;
  /**
   * The stored deltas after a position, in order, some `limit` of them; `complete` when there were no more at that moment.
   * Throws when Redis is away.
   */
  readDeltas(
    jobId: string,
    after: EventPosition,
    limit: number,
  ): Promise<{ deltas: StoredDelta[]; complete: boolean }>;
  /**
   * Makes sure that no delta can appear any more before a lifecycle event. The stream of a job that has ended is not
   * begun anew for that. Throws when Redis is away.
   */
  seal(jobId: string, sequence: number, jobHasEnded: boolean): Promise<void>;
  /** Calls `listener` for every cancelled job; `keys` names the steps, null means all. */
  onCancel(listener: CancelListener): Promise<void>;
}

export type CancelListener = (jobId: string, keys: readonly string[] | null) => void;

export interface LiveWatcher {
  onMessage(message: LiveMessage): void;
  /** Announcements may have been lost. */
  onGap(): void;
}

/** `subscriber` and `reader` are connections of the roles `subscriber` and `producer`; stopping does not close them. */
export function createLiveFeed(options: {
  subscriber: Redis;
  reader: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
}): LiveFeed {
  const { subscriber, names, onError } = options;
  const reader = withLiveScripts(options.reader);
  const watchers = new Map<string, Set<LiveWatcher>>();
  const cancelListeners = new Set<CancelListener>();

  const tellGap = (channel: string): void => {
    for (const watcher of [...(watchers.get(channel) ?? [])]) watcher.onGap();
  };
  const subscriptions = createSubscriptions({ subscriber, onGap: tellGap, onError });

  const onMessage = (channel: string, text: string): void => {
    try {
      if (channel === names.cancelChannel) {
        const cancel = cancelNoticeSchema.parse(JSON.parse(text));
        for (const listener of cancelListeners) listener(cancel.jobId, cancel.keys);
        return;
      }
      const set = watchers.get(channel);
      if (!set) return;
      const message = parseLiveMessage(text);
      for (const watcher of [...set]) watcher.onMessage(message);
    } catch (error) {
      // Not to be thrown into the connection. What was meant can be read from the ledger.
      onError(error);
      tellGap(channel);
    }
  };

  return {
    name: 'live feed',
    async start() {
      subscriber.on('message', onMessage);
      subscriptions.start();
    },
    async stop() {
      subscriber.off('message', onMessage);
      subscriptions.stop();
      watchers.clear();
      cancelListeners.clear();
    },
    async watch(jobId, watcher) {
      const channel = names.liveChannel(jobId);
      const set = watchers.get(channel) ?? new Set();
      watchers.set(channel, set);
      set.add(watcher);
      await subscriptions.add(channel);
      return () => {
        if (!set.delete(watcher) || set.size > 0) return;
        watchers.delete(channel);
        subscriptions.remove(channel);
      };
    },
    isConnected: () => subscriptions.isStanding(),
    readDeltas: (jobId, after, limit) =>
      readStoredDeltas(reader, names.liveStream(jobId), { after, limit, onError }),
    async seal(jobId, sequence, jobHasEnded) {
      const begin = jobHasEnded ? '0' : '1';
      await reader.millraceMarkEvent(names.liveStream(jobId), sequence, '', openStreamTtlMs, '', begin, '0');
    },
    async onCancel(listener) {
      cancelListeners.add(listener);
      await subscriptions.add(names.cancelChannel);
    },
  };
}
