import type { TokenUsage } from '@millrace/contracts';

/** What a vendor may limit per minute. */
export const dimensions = ['requests', 'tokens', 'inputTokens', 'outputTokens'] as const;
export type Dimension = (typeof dimensions)[number];

/** Units of each limited dimension. */
export type Amounts = Readonly<Partial<Record<Dimension, number>>>;

/**
 * The limits of one capacity domain: one account's limit group, that is one model or the models that share limits. All
 * are per minute but `concurrency`; what is absent is unlimited.
 */
export interface DomainLimits {
  requests?: number;
  /** OpenAI: one limit for what goes in and out, charged when the call arrives. */
  tokens?: number;
  /** Anthropic: input tokens that were not read from the cache. */
  inputTokens?: number;
  /** Anthropic: output tokens as they are produced. */
  outputTokens?: number;
  /** Calls at a time. */
  concurrency?: number;
  /**
   * What a call is charged against `tokens`. `largest` (default): the larger of `max_output_tokens` and its input, as
   * OpenAI does, whatever it then produces. `sum`: input and output together, settled when the call ends.
   */
  tokenCharge?: 'largest' | 'sum';
  /** Work that a quiet domain may start at once, as time at the full rate. Default 5,000. */
  burstMs?: number;
  /** The time that the limits are for. Default a minute. */
  windowMs?: number;
  /** How much longer one call may be on its way than another; see {@link arrivalSpreadMs}. */
  arrivalSpreadMs?: number;
  /** True: limits in the answers' headers do not replace these, for an account that is shared on purpose. */
  fixed?: boolean;
  /** What `background` work may fill of each limit. Default 0.9. */
  backgroundShare?: number;
  /** The part of a limit that, used for a window by us and others, is told as high use. Default 0.8. */
  highUseShare?: number;
}

/**
 * Vendors count on arrival, the book on departure. A call that is on its way longer than another still counts there when
 * the book has forgotten it; so the book counts each call this much longer than the vendor. That costs 0.4 % of a limit.
 * Calls that were later than this are held longer when they are settled ({@link CallEnd}), long before it matters. Measured
 * with `test/bench/src/capacity-utilisation.ts`: 4 processes on 2 busy cores are later in up to 2 of 100 calls.
 */
export const arrivalSpreadMs = 250;

/** What a call will take from its domain, as far as it is known before it leaves. */
export interface CallSize {
  inputTokens: number;
  maxOutputTokens: number;
  /** What the answer will probably take, for vendors that count what is produced. Default: `maxOutputTokens`. */
  expectedOutputTokens?: number;
  /** Part of `inputTokens` that the vendor surely reads from its cache. Default 0. */
  cachedInputTokens?: number;
  /** Characters of the prompt: OpenAI estimates its size as a quarter of them. */
  inputCharacters?: number;
  /** When the answer will have been produced, from departure. Default 0. */
  expectedDurationMs?: number;
}

/**
 * How a call ended, for the book. A `refused` call is one that got 429. `usage` is null when nothing is known of it.
 * `arrivedBy`, on the process's monotonic clock, is when the vendor must have counted it at the latest: when its answer's
 * headers came, less the time that the vendor says it took (`openai-processing-ms`); without that, when it left the
 * process. `cut`: its answer ended before its end (our abort, a time-out, a lost connection), so that without usage what it
 * produced is unknown. A call that came late stays in the book for as long as the vendor counts it.
 */
export type CallEnd =
  | { sent: false }
  | { sent: true; refused?: boolean; usage: Readonly<TokenUsage> | null; arrivedBy?: number; cut?: boolean };

/** What a call of this size takes from each limited dimension. */
export function amountsOf(size: CallSize, limits: DomainLimits): Amounts {
  const output = Math.min(size.expectedOutputTokens ?? size.maxOutputTokens, size.maxOutputTokens);
  const estimate = Math.max(size.inputTokens, (size.inputCharacters ?? 0) / 4);
  const charges: Record<Dimension, number> = {
    requests: 1,
    tokens:
      limits.tokenCharge === 'sum' ? size.inputTokens + output : Math.max(size.maxOutputTokens, estimate),
    inputTokens: size.inputTokens - (size.cachedInputTokens ?? 0),
    outputTokens: output,
  };
  return limitedOnly(charges, limits);
}

/**
 * What the call took in truth. Not sent: nothing. Refused: the request alone, as OpenAI counts refusals. Failed without
 * usage: what was booked, but no output; cut without usage: all that was booked. `tokens` charged as `largest` stay as they are.
 */
export function settledAmounts(booked: Amounts, end: CallEnd, limits: DomainLimits): Amounts {
  if (!end.sent) return limitedOnly({ requests: 0, tokens: 0, inputTokens: 0, outputTokens: 0 }, limits);
  const { usage } = end;
  const requests = booked.requests ?? 0;
  if (end.refused === true) {
    return limitedOnly({ requests, tokens: 0, inputTokens: 0, outputTokens: 0 }, limits);
  }
  const input = usage ? usage.inputTokens - usage.cachedInputTokens : (booked.inputTokens ?? 0);
  const settlesTokens = limits.tokenCharge === 'sum' && usage !== null;
  return limitedOnly(
    {
      requests,
      tokens: settlesTokens ? usage.inputTokens + usage.outputTokens : (booked.tokens ?? 0),
      inputTokens: input,
      outputTokens: usage?.outputTokens ?? (end.cut === true ? (booked.outputTokens ?? 0) : 0),
    },
    limits,
  );
}

/** The first dimension in which the call is larger than a whole minute, so that it can never leave; null if it fits. */
export function misfitOf(size: CallSize, limits: DomainLimits): TooLarge | null {
  const amounts = amountsOf(size, limits);
  for (const dimension of dimensions) {
    const limit = limits[dimension];
    const requested = amounts[dimension] ?? 0;
    if (limit !== undefined && requested > limit) return { dimension, limit, requested };
  }
  return null;
}

/** Which limit a call alone would break. */
export interface TooLarge {
  dimension: Dimension;
  limit: number;
  requested: number;
}

/** True when nothing is limited, so that there is nothing to book. */
export function isUnlimited(limits: DomainLimits): boolean {
  return limits.concurrency === undefined && dimensions.every((dimension) => limits[dimension] === undefined);
}

function limitedOnly(amounts: Record<Dimension, number>, limits: DomainLimits): Amounts {
  const limited: Partial<Record<Dimension, number>> = {};
  for (const dimension of dimensions) {
    if (limits[dimension] !== undefined) limited[dimension] = Math.max(0, Math.ceil(amounts[dimension]));
  }
  return limited;
}
