import type { EventPosition, JobEvent, StepDelta } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { withLiveScripts } from './live-scripts.ts';

/** Tells watchers what happens to jobs. Nothing depends on it: what is lost here can be read from the ledger. */
export interface LivePublisher {
  /** Announces lifecycle events that the ledger has committed. Never throws. */
  publishEvents(events: readonly (JobEvent & { jobId: string })[]): Promise<void>;
  /** Appends a step's text after a position, and returns its own. Throws when Redis is away. */
  appendDelta(jobId: string, after: EventPosition, delta: StepDelta): Promise<EventPosition>;
  /**
   * Asks all workers to drop the calls of a job, all or those of some steps. Throws when Redis is away; the workers'
   * heartbeats find out then.
   */
  publishCancel(jobId: string, keys?: readonly string[]): Promise<void>;
}

/** A stream that nobody ends is kept for a day; after the job's end for an hour. */
const OPEN_TTL_MS = 86_400_000;
const ENDED_TTL_MS = 3_600_000;

/** `redis` is a connection of the role `producer`. */
export function createLivePublisher(options: {
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
}): LivePublisher {
  const { names, onError } = options;
  const redis = withLiveScripts(options.redis);
  return {
    async publishEvents(events) {
      try {
        await Promise.all(
          events.map((event) => {
            const { jobId, ...rest } = event;
            const ttlMs = isEnd(event) ? ENDED_TTL_MS : OPEN_TTL_MS;
            const [stream, channel] = [names.liveStream(jobId), names.liveChannel(jobId)];
            return redis.millraceMarkEvent(stream, event.sequence, JSON.stringify(rest), ttlMs, channel, '0');
          }),
        );
      } catch (error) {
        onError(error);
      }
    },
    async appendDelta(jobId, after, delta) {
      const id = await redis.millraceAppendDelta(
        names.liveStream(jobId),
        after.sequence,
        after.delta,
        JSON.stringify(delta),
        OPEN_TTL_MS,
        names.liveChannel(jobId),
      );
      return parseStreamId(id) ?? after;
    },
    async publishCancel(jobId, keys) {
      await redis.publish(names.cancelChannel, JSON.stringify({ jobId, keys: keys ?? null }));
    },
  };
}

function isEnd(event: JobEvent): boolean {
  return ['job.completed', 'job.failed', 'job.cancelled', 'job.expired'].includes(event.type);
}

/** `"12-3"` → position 3 after event 12. */
export function parseStreamId(id: string): EventPosition | null {
  const match = /^(\d+)-(\d+)$/.exec(id);
  return match ? { sequence: Number(match[1]), delta: Number(match[2]) } : null;
}
