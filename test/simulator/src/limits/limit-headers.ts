import type { OutgoingHttpHeaders } from 'node:http';
import type { Vendor } from '../model-catalogue.ts';
import type { GroupLimits } from '../simulator-config.ts';
import type { SimulatorClock } from '../simulator-clock.ts';
import type { LimitGroup } from './limit-group.ts';
import type { SlidingMinute } from './sliding-minute.ts';

/** The rate-limit headers of a vendor as of now. */
export function limitHeaders(
  vendor: Vendor,
  group: LimitGroup,
  limits: GroupLimits,
  clock: SimulatorClock,
): OutgoingHttpHeaders {
  return vendor === 'openai' ? openaiHeaders(group, limits, clock) : anthropicHeaders(group, limits, clock);
}

function openaiHeaders(group: LimitGroup, limits: GroupLimits, clock: SimulatorClock): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const atMs = clock.monotonicMs();
  const add = (name: string, window: SlidingMinute, limit: number | null): void => {
    if (limit === null) return;
    headers[`x-ratelimit-limit-${name}`] = String(limit);
    headers[`x-ratelimit-remaining-${name}`] = String(Math.max(0, limit - window.sum(atMs)));
    headers[`x-ratelimit-reset-${name}`] = goDuration(window.emptyIn(atMs));
  };
  add('requests', group.requests, limits.requests);
  add('tokens', group.tokens, limits.tokens);
  return headers;
}

function anthropicHeaders(
  group: LimitGroup,
  limits: GroupLimits,
  clock: SimulatorClock,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  const atMs = clock.monotonicMs();
  const add = (name: string, limit: number, remaining: number, resetMs: number): void => {
    const prefix = `anthropic-ratelimit-${name}`;
    headers[`${prefix}-limit`] = String(limit);
    headers[`${prefix}-remaining`] = String(
      Math.max(0, name === 'requests' ? remaining : toThousands(remaining)),
    );
    headers[`${prefix}-reset`] = `${new Date(clock.realMs() + resetMs).toISOString().slice(0, 19)}Z`;
  };
  const { requests, inputTokens, outputTokens } = limits;
  if (requests !== null) {
    add('requests', requests, requests - group.requests.sum(atMs), group.requests.emptyIn(atMs));
  }
  const inputUsed = group.inputTokens.sum(atMs);
  const outputUsed = group.outputTokens.sum(atMs);
  const inputReset = group.inputTokens.emptyIn(atMs);
  const outputReset = group.outputTokens.emptyIn(atMs);
  if (inputTokens !== null) add('input-tokens', inputTokens, inputTokens - inputUsed, inputReset);
  if (outputTokens !== null) add('output-tokens', outputTokens, outputTokens - outputUsed, outputReset);
  if (inputTokens !== null && outputTokens !== null) {
    const both = inputTokens + outputTokens;
    add('tokens', both, both - inputUsed - outputUsed, Math.max(inputReset, outputReset));
  }
  return headers;
}

/** The vendor rounds remaining tokens to the nearest thousand. */
function toThousands(tokens: number): number {
  return Math.round(tokens / 1_000) * 1_000;
}

/** `20ms`, `1.5s`, `6m0s`: the format of OpenAI's reset headers. */
export function goDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.ceil(durationMs)}ms`;
  const seconds = Math.ceil(durationMs) / 1_000;
  if (seconds < 60) return `${Number(seconds.toFixed(3))}s`;
  const minutes = Math.floor(seconds / 60);
  return `${minutes}m${Number((seconds - minutes * 60).toFixed(3))}s`;
}
