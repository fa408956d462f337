import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { runScript } from '../book/run-script.ts';
import { bucketOf, upperEdgeOf } from './length-buckets.ts';
import { recordOutputScript } from './record-output-script.ts';

/** How long answers of one kind (a route and a plan node) usually get, learned by the whole fleet. */
export interface OutputEstimator {
  /**
   * The length that 95 of 100 answers of this kind stay below, in tokens, and never more than `maxOutputTokens`. While too
   * few are known, or Redis is away, `maxOutputTokens`. Asks Redis at most every 5 s per kind.
   */
  estimate(kind: string, maxOutputTokens: number): Promise<number>;
  /** Learns from an answer that was produced whole. Never throws. */
  record(kind: string, outputTokens: number, estimated?: number): Promise<void>;
}

const HELD = 400;
const LEAST = 20;
const TTL_MS = 14 * 86_400_000;
const HARDLY_KNOWN_TTL_MS = 2 * 86_400_000;
const FRESH_MS = 5_000;
const MOST_KINDS = 5_000;

/** `onTruth` hears each estimate beside what came of it, for a metric. */
export function createOutputEstimator(options: {
  redis: Redis;
  names: KeyNames;
  onError: (error: unknown) => void;
  onTruth?: (truth: { kind: string; estimated: number; produced: number }) => void;
  now?: () => number;
}): OutputEstimator {
  const { redis, names, onError, now = () => performance.now() } = options;
  const known = new Map<string, { length: Promise<number | null>; until: number }>();

  async function read(kind: string): Promise<number | null> {
    try {
      return percentile(await redis.hgetall(names.outputLengths(kind)), 0.95);
    } catch (error) {
      onError(error);
      return null;
    }
  }

  return {
    async estimate(kind, maxOutputTokens) {
      let entry = known.get(kind);
      if (!entry || entry.until <= now()) {
        entry = { length: read(kind), until: now() + FRESH_MS };
        known.delete(kind);
        known.set(kind, entry);
        for (const oldest of known.keys()) {
          if (known.size <= MOST_KINDS) break;
          known.delete(oldest);
        }
      }
      return Math.min((await entry.length) ?? maxOutputTokens, maxOutputTokens);
    },
    async record(kind, outputTokens, estimated) {
      if (estimated !== undefined) options.onTruth?.({ kind, estimated, produced: outputTokens });
      try {
        const keys = [names.outputLengths(kind)];
        await runScript(redis, recordOutputScript, keys, [
          bucketOf(outputTokens),
          HELD,
          TTL_MS,
          HARDLY_KNOWN_TTL_MS,
          LEAST,
        ]);
      } catch (error) {
        onError(error);
      }
    },
  };
}

/** The upper edge of the bucket in which the share lies; null when too few answers are known. */
function percentile(histogram: Record<string, string>, share: number): number | null {
  const counts = Object.entries(histogram)
    .filter(([field]) => field !== 'n')
    .map(([bucket, count]) => ({ bucket: Number(bucket), count: Number(count) }))
    .sort((one, other) => one.bucket - other.bucket);
  const total = counts.reduce((sum, { count }) => sum + count, 0);
  if (total < LEAST) return null;
  let seen = 0;
  for (const { bucket, count } of counts) {
    seen += count;
    if (seen >= share * total) return upperEdgeOf(bucket);
  }
  return null;
}
