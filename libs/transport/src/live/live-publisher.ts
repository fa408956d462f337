import { isTerminalEvent } from '@millrace/contracts';
import type { EventPosition, JobEvent, StepDelta } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { jobCreatedAt } from './job-created-at.ts';
import { parseStreamId } from './live-message.ts';
import { endedStreamTtlMs, openStreamTtlMs, withLiveScripts } from './live-scripts.ts';

/** Tells watchers what happens to jobs. Nothing depends on it: what is lost here can be read from the ledger. */
export interface LivePublisher {
  /** Announces lifecycle events that the ledger has committed. Never throws. */
  publishEvents(events: readonly (JobEvent & { jobId: string })[]): Promise<void>;
  /** Appends a step's text after a position, and returns its own. Throws when Redis is away. */
  appendDelta(jobId: string, after: EventPosition, delta: StepDelta): Promise<EventPosition>;
  /** Removes the text of a job whose content is erased. Throws when Redis is away; then it lives for its hour. */
  eraseDeltas(jobId: string): Promise<void>;
  /**
   * Asks all workers to drop the calls of a job, all or those of some steps. Throws when Redis is away; the workers'
   * heartbeats find out then.
   */
  publishCancel(jobId: string, keys?: readonly string[]): Promise<void>;
}

/**
 * `redis` is a connection of the role `producer`. `findLastSequence` reads the number of a job's last event from the
 * ledger; it is asked when a job's stream is missing, that is for its first text and after Redis has lost its content.
 * Without it, text that a worker appends after such a loss may be missed by watchers who know later events than it does.
 */
export function createLivePublisher(options: {
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
  findLastSequence?: (jobId: string) => Promise<number>;
}): LivePublisher {
  const { names, onError, findLastSequence } = options;
  const redis = withLiveScripts(options.redis);

  const append = (
    jobId: string,
    after: EventPosition,
    payload: string,
    begin: '0' | '1',
  ): Promise<string | null> =>
    redis.millraceAppendDelta(
      names.liveStream(jobId),
      after.sequence,
      after.delta,
      payload,
      names.liveChannel(jobId),
      jobCreatedAt(jobId) ?? Date.now(),
      openStreamTtlMs,
      endedStreamTtlMs,
      begin,
    );

  /** Where the first text of a new stream belongs: after everything that a watcher can have seen. */
  const findBeginning = async (jobId: string, after: EventPosition): Promise<EventPosition> => {
    const last = await findLastSequence?.(jobId).catch(onError);
    return last !== undefined && last > after.sequence ? { sequence: last, delta: 0 } : after;
  };

  return {
    async publishEvents(events) {
      try {
        await Promise.all(
          events.map((event) => {
            const { jobId, ...rest } = event;
            const ends = isTerminalEvent(event.type);
            return redis.millraceMarkEvent(
              names.liveStream(jobId),
              event.sequence,
              JSON.stringify(rest),
              ends ? endedStreamTtlMs : openStreamTtlMs,
              names.liveChannel(jobId),
              '0',
              ends ? '1' : '0',
            );
          }),
        );
      } catch (error) {
        onError(error);
      }
    },
    async appendDelta(jobId, after, delta) {
      const payload = JSON.stringify(delta);
      const id =
        (await append(jobId, after, payload, '0')) ??
        (await append(jobId, await findBeginning(jobId, after), payload, '1'));
      return (id === null ? null : parseStreamId(id)) ?? after;
    },
    async eraseDeltas(jobId) {
      await redis.del(names.liveStream(jobId));
    },
    async publishCancel(jobId, keys) {
      await redis.publish(names.cancelChannel, JSON.stringify({ jobId, keys: keys ?? null }));
    },
  };
}
