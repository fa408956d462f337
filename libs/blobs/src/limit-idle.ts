import { BlobStoreUnavailable } from './blob-store.ts';

/**
 * The pieces of a content, each of which must come within `idleMs` of being asked for; the time that the reader takes between two
 * pieces does not count. A store that accepts a request and then says nothing is worse than one that is away: whoever waits for it
 * waits for ever. Throws BlobStoreUnavailable when one does not come, and for what the source throws; `abandon` then lets go of the
 * source, also when the reader stops early.
 */
export async function* limitIdle(
  pieces: AsyncIterator<Uint8Array>,
  idleMs: number,
  abandon: () => void,
): AsyncGenerator<Uint8Array, void> {
  try {
    for (;;) {
      const piece = await withinIdle(pieces.next(), idleMs);
      if (piece.done) return;
      yield piece.value;
    }
  } finally {
    abandon();
  }
}

async function withinIdle<Value>(work: Promise<Value>, idleMs: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new BlobStoreUnavailable(`a content stood still for ${idleMs} ms`)),
      idleMs,
    );
  });
  try {
    return await Promise.race([work, silence]);
  } catch (error) {
    if (error instanceof BlobStoreUnavailable) throw error;
    throw new BlobStoreUnavailable('a content broke off', error);
  } finally {
    clearTimeout(timer);
  }
}
