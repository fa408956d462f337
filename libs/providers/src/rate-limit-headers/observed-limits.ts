import type { LimitReading, ObservedLimits } from '../provider.ts';
import { parseGoDurationMs, parseInstantMs } from './durations.ts';

/** `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` of OpenAI and its imitators; resets are Go durations. */
export function readOpenAILimits(headers: Headers): ObservedLimits {
  const read = (unit: string): LimitReading | null =>
    reading(
      headers.get(`x-ratelimit-limit-${unit}`),
      headers.get(`x-ratelimit-remaining-${unit}`),
      headers.get(`x-ratelimit-reset-${unit}`),
      parseGoDurationMs,
    );
  return present({ requests: read('requests'), tokens: read('tokens') });
}

/** `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`; resets are RFC 3339. */
export function readAnthropicLimits(headers: Headers, nowMs: number): ObservedLimits {
  const read = (unit: string): LimitReading | null =>
    reading(
      headers.get(`anthropic-ratelimit-${unit}-limit`),
      headers.get(`anthropic-ratelimit-${unit}-remaining`),
      headers.get(`anthropic-ratelimit-${unit}-reset`),
      (text) => parseInstantMs(text, nowMs),
    );
  return present({
    requests: read('requests'),
    tokens: read('tokens'),
    inputTokens: read('input-tokens'),
    outputTokens: read('output-tokens'),
  });
}

function reading(
  limit: string | null,
  remaining: string | null,
  reset: string | null,
  parseReset: (text: string) => number | null,
): LimitReading | null {
  if (limit === null && remaining === null && reset === null) return null;
  return {
    limit: parseCount(limit),
    remaining: parseCount(remaining),
    resetMs: reset === null ? null : parseReset(reset.trim()),
  };
}

function parseCount(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text.trim()) ? Number(text) : null;
}

function present(readings: Record<string, LimitReading | null>): ObservedLimits {
  return Object.fromEntries(Object.entries(readings).filter(([, each]) => each !== null));
}
