import type { ReadableStreamDefaultReader } from 'node:stream/web';
import { BlobStoreUnavailable } from './blob-store.ts';
import { withinTime } from './within-time.ts';

/**
 * The pieces of a content, each of which must come within `idleMs` of being asked for; the time that whoever reads takes between two
 * pieces does not count. A store that accepts a request and then says nothing is worse than one that is away. Lets go of the content
 * at the end, whatever the end is. Throws BlobStoreUnavailable.
 */
export async function* limitIdle(
  content: ReadableStreamDefaultReader<Uint8Array>,
  idleMs: number,
): AsyncGenerator<Uint8Array, void> {
  try {
    for (;;) {
      const piece = await withinTime(content.read(), idleMs, 'a content stood still');
      if (piece.done) return;
      yield piece.value;
    }
  } catch (error) {
    if (error instanceof BlobStoreUnavailable) throw error;
    throw new BlobStoreUnavailable('a content broke off', error);
  } finally {
    content.cancel().catch(() => undefined);
  }
}
