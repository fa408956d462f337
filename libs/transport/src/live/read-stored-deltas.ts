import type { EventPosition } from '@millrace/contracts';
import type { Redis } from 'ioredis';
import { parseStoredDelta, parseStreamId } from './live-message.ts';
import type { StoredDelta } from './live-message.ts';

/**
 * Reads a job's stream from a position on, past the marks of lifecycle events, until it has a delta or the stream ends.
 * `complete` when the end was reached. Throws when Redis is away.
 */
export async function readStoredDeltas(
  redis: Redis,
  stream: string,
  request: { after: EventPosition; limit: number; onError: (error: unknown) => void },
): Promise<{ deltas: StoredDelta[]; complete: boolean }> {
  const deltas: StoredDelta[] = [];
  let from = `${request.after.sequence}-${request.after.delta}`;
  for (;;) {
    const entries = await redis.xrange(stream, `(${from}`, '+', 'COUNT', request.limit);
    for (const [id, fields] of entries) {
      from = id;
      const position = parseStreamId(id);
      if (!position || fields[0] !== 'd' || fields[1] === undefined) continue;
      try {
        deltas.push(parseStoredDelta(position, fields[1]));
      } catch (error) {
        request.onError(error);
      }
    }
    const complete = entries.length < request.limit;
    if (complete || deltas.length > 0) return { deltas, complete };
  }
}
