import { orLate } from '@millrace/contracts';
import type { Redis } from 'ioredis';

/** The channels that one connection listens to. */
export interface Subscriptions {
  start(): void;
  stop(): void;
  /** Resolves when the subscription stands, or after half a second at most. */
  add(channel: string): Promise<void>;
  remove(channel: string): void;
  /** Whether all wanted channels are subscribed on a living connection. */
  isStanding(): boolean;
}

/** Redis that stands still must not hold a request. */
const PATIENCE_MS = 500;

/**
 * Keeps a connection's subscriptions: standing → broken (connection lost) → standing again. While broken nothing is sent,
 * so that watchers who come and go in a long outage do not pile up commands; once the connection is back the wanted
 * channels are subscribed at one go. `onGap` is told of every wanted channel when the connection breaks (messages no longer
 * arrive) and when its subscription stands again (what is read from then on misses nothing).
 */
export function createSubscriptions(options: {
  subscriber: Redis;
  onGap: (channel: string) => void;
  onError: (error: unknown) => void;
}): Subscriptions {
  const { subscriber, onGap, onError } = options;
  const wanted = new Map<string, Promise<void>>();
  /** What the connection may be subscribed to: ioredis renews that by itself. */
  const asked = new Set<string>();
  let standing = false;

  const onClose = (): void => {
    if (!standing) return;
    standing = false;
    for (const channel of wanted.keys()) onGap(channel);
  };
  const onReady = async (): Promise<void> => {
    const channels = [...wanted.keys()];
    const stale = [...asked].filter((channel) => !wanted.has(channel));
    for (const channel of channels) asked.add(channel);
    for (const channel of stale) asked.delete(channel);
    if (stale.length > 0) subscriber.unsubscribe(...stale).catch(onError);
    try {
      if (channels.length > 0) await subscriber.subscribe(...channels);
    } catch (error) {
      onError(error);
      return;
    }
    standing = subscriber.status === 'ready';
    for (const channel of channels) if (wanted.has(channel)) onGap(channel);
  };
  const whenReady = (): void => void onReady();

  async function subscribe(channel: string): Promise<void> {
    if (subscriber.status !== 'ready') return;
    asked.add(channel);
    await subscriber.subscribe(channel).catch(onError);
  }

  return {
    start() {
      subscriber.on('ready', whenReady);
      subscriber.on('close', onClose);
      standing = subscriber.status === 'ready';
    },
    stop() {
      subscriber.off('ready', whenReady);
      subscriber.off('close', onClose);
      const channels = [...asked];
      wanted.clear();
      asked.clear();
      if (channels.length > 0 && subscriber.status === 'ready') {
        subscriber.unsubscribe(...channels).catch(onError);
      }
    },
    async add(channel) {
      const subscribed = wanted.get(channel) ?? subscribe(channel);
      wanted.set(channel, subscribed);
      const isDone = subscribed.then(() => true);
      if (await orLate(isDone, PATIENCE_MS, () => false)) return;
      void subscribed.then(() => {
        if (wanted.has(channel)) onGap(channel);
      });
    },
    remove(channel) {
      wanted.delete(channel);
      if (subscriber.status !== 'ready') return;
      asked.delete(channel);
      subscriber.unsubscribe(channel).catch(onError);
    },
    isStanding: () => standing && subscriber.status === 'ready',
  };
}
