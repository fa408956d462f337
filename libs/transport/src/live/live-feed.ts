import type { EventPosition, Json, Service, StepDelta } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { parseStreamId } from './live-publisher.ts';
import { withLiveScripts } from './live-scripts.ts';

/** A piece of a job's live stream. `payload` is a lifecycle event when `position.delta` is 0, else a delta. */
export interface LiveMessage {
  position: EventPosition;
  payload: Json;
}

export interface StoredDelta {
  position: EventPosition;
  delta: StepDelta;
}

/**
 * The receiving side of the live streams: one subscription connection for a whole process. A watcher may miss messages
 * while Redis is away; `onGap` tells it to catch up from the ledger and the stream.
 */
export interface LiveFeed extends Service {
  /** Calls `onMessage` for what happens to a job from now on; returns the function that ends it. */
  watch(jobId: string, watcher: LiveWatcher): Promise<() => void>;
  /** The stored deltas after a position, in order, at most `limit`. Throws when Redis is away. */
  readDeltas(jobId: string, after: EventPosition, limit: number): Promise<StoredDelta[]>;
  /** Makes sure that no delta can still appear before a lifecycle event. Throws when Redis is away. */
  seal(jobId: string, sequence: number): Promise<void>;
  /** Calls `listener` for every cancelled job; `keys` names the steps, null means all. */
  onCancel(listener: CancelListener): Promise<void>;
}

export type CancelListener = (jobId: string, keys: readonly string[] | null) => void;

export interface LiveWatcher {
  onMessage(message: LiveMessage): void;
  onGap(): void;
}

const SEAL_TTL_MS = 3_600_000;

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

  const onMessage = (channel: string, text: string): void => {
    if (channel === names.cancelChannel) {
      const cancel = JSON.parse(text) as { jobId: string; keys: string[] | null };
      for (const listener of cancelListeners) listener(cancel.jobId, cancel.keys);
      return;
    }
    const set = watchers.get(channel);
    const message = set ? parseMessage(text) : null;
    if (!set || !message) return;
    for (const watcher of [...set]) watcher.onMessage(message);
  };
  const onReady = (): void => {
    for (const set of watchers.values()) for (const watcher of [...set]) watcher.onGap();
  };

  return {
    name: 'live feed',
    async start() {
      subscriber.on('message', onMessage);
      subscriber.on('ready', onReady);
    },
    async stop() {
      subscriber.off('message', onMessage);
      subscriber.off('ready', onReady);
      watchers.clear();
      cancelListeners.clear();
    },
    async watch(jobId, watcher) {
      const channel = names.liveChannel(jobId);
      const set = watchers.get(channel) ?? new Set();
      watchers.set(channel, set);
      set.add(watcher);
      // Without Redis this waits until it is back; the watcher must not.
      if (set.size === 1) await settle(subscriber.subscribe(channel), onError);
      return () => {
        set.delete(watcher);
        if (set.size > 0 || watchers.get(channel) !== set) return;
        watchers.delete(channel);
        subscriber.unsubscribe(channel).catch(onError);
      };
    },
    async readDeltas(jobId, after, limit) {
      const from = `(${after.sequence}-${after.delta}`;
      const entries = await reader.xrange(names.liveStream(jobId), from, '+', 'COUNT', limit);
      return entries.flatMap(([id, fields]) => {
        const position = parseStreamId(id);
        const text = fields[0] === 'd' ? fields[1] : undefined;
        return position && text !== undefined ? [{ position, delta: JSON.parse(text) as StepDelta }] : [];
      });
    },
    async seal(jobId, sequence) {
      await reader.millraceMarkEvent(names.liveStream(jobId), sequence, '', SEAL_TTL_MS, '', '1');
    },
    async onCancel(listener) {
      cancelListeners.add(listener);
      await settle(subscriber.subscribe(names.cancelChannel), onError);
    },
  };
}

/** Waits for a subscription, but not longer than Redis takes when it is there. */
async function settle(subscription: Promise<unknown>, onError: (error: unknown) => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 500);
  });
  await Promise.race([subscription.catch(onError), patience]);
  clearTimeout(timer);
}

function parseMessage(text: string): LiveMessage | null {
  const space = text.indexOf(' ');
  const position = parseStreamId(text.slice(0, space));
  return position && { position, payload: JSON.parse(text.slice(space + 1)) as Json };
}
