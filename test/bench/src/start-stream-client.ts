import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { StreamOrder } from './stream-client-process.ts';
import type { StreamFigures } from './stream-figures.ts';

/** A client process that reads streams. */
export interface StreamClient {
  /** Resolves when each stream has begun. */
  ready: Promise<unknown>;
  /** Resolves when all streams have ended. */
  figures: Promise<StreamFigures>;
}

/** Starts a process that reads streams to their ends. */
export function startStreamClient(order: StreamOrder): StreamClient {
  const child = fork(join(import.meta.dirname, 'stream-client-process.ts'));
  child.send(order);
  const ready = once(child, 'message');
  const figures = ready.then(async () => {
    const [seen] = (await once(child, 'message')) as [StreamFigures];
    child.disconnect();
    return seen;
  });
  return { ready, figures };
}
