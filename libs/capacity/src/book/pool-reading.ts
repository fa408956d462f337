import { dimensions } from '../domain/domain-limits.ts';
import type { Dimension, DomainLimits } from '../domain/domain-limits.ts';
import { dimensionLetters, dimensionOfLetter } from './dimension-letters.ts';

/** How one limit of a pool stands. */
export interface LimitUse {
  /** In force: the vendor's headers may have changed the configured one. */
  limit: number;
  /** Units that our calls of the last minute hold, those booked a little ahead included. */
  used: number;
  /** Set aside for somebody else who uses the account. */
  outside: number;
  /** What is left to us; 0 when more is used than there is. */
  free: number;
}

/** How a pool stands, for metrics, boards and scaling. */
export interface PoolReading {
  limits: Partial<Record<Dimension, LimitUse>>;
  /** Calls under way, in the whole fleet. */
  underWay: number;
  /** Configured calls at a time; null for any number. */
  concurrency: number | null;
  /** How long a call lately held its place, on average; null before the first has ended. */
  meanHoldMs: number | null;
  /** For how long nothing may leave; 0 when it may. */
  parkedMs: number;
  /** Answers 429 since the book began. */
  refusals: number;
  /** True when a limit is used above the domain's `highUseShare`. */
  high: boolean;
  /** The share of the fullest limit that is used or may not be, 0 when nothing is limited. */
  fullest: number;
  /** What we may fill of what others leave of each limit: 1, and less for half an hour after the vendor asked to slow down. */
  share: number;
}

/** Parameters of the read script for a domain. */
export function readParameters(limits: DomainLimits): (string | number)[] {
  return dimensions.flatMap((dimension) => {
    const limit = limits[dimension];
    return limit === undefined ? [] : [dimensionLetters[dimension], limit];
  });
}

/** The answer of the read script as a reading. */
export function toPoolReading(answer: unknown, limits: DomainLimits): PoolReading {
  const [parked, underWay, hold, refusals, high, shareText, ...rest] = answer as [
    number,
    number,
    number,
    number,
    number,
    string,
    ...(string | number)[],
  ];
  const share = Number(shareText);
  const uses: Partial<Record<Dimension, LimitUse>> = {};
  for (let at = 0; at < rest.length; at += 4) {
    const [limit, used, outside] = rest.slice(at + 1, at + 4).map(Number) as [number, number, number];
    const free = Math.max(0, (limit - outside) * share - used);
    uses[dimensionOfLetter(String(rest[at]))] = { limit, used, outside, free };
  }
  const shares = Object.values(uses).map(
    ({ limit, used, outside }) => (used + outside + (limit - outside) * (1 - share)) / limit,
  );
  return {
    limits: uses,
    underWay,
    concurrency: limits.concurrency ?? null,
    meanHoldMs: hold < 0 ? null : hold,
    parkedMs: Math.max(0, parked),
    refusals,
    high: high === 1,
    fullest: Math.max(0, ...shares),
    share,
  };
}
