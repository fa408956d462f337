import type { Priority, RequestLimits } from '@millrace/contracts';
import type { SettingName, SettingValue } from './settings.ts';

/** A provider account that calls can go to. */
export interface ProviderConfig {
  name: string;
  kind: 'openai' | 'anthropic' | 'openai_compatible';
  baseUrl: string | null;
  /** Null when no key is set in this process (the API needs none). */
  apiKey: string | null;
  /** Signs the webhooks that the provider sends us; null where none are taken. */
  webhookSecret: string | null;
  maxConcurrentCalls: number;
  /** One process lets at least this time pass between the beginnings of two calls. */
  minSpacingMs: number;
  /** Prices of models that the catalogue does not know, in USD per million tokens. */
  prices: Record<
    string,
    { inputUsd: number; outputUsd: number; cachedInputUsd: number | null; contextWindow: number | null }
  >;
}

/**
 * A limit group of a provider's account: models that share limits. Limits are per minute but `concurrency`; what is absent
 * is unlimited. The same shape as the capacity book's limits.
 */
export interface PoolConfig {
  name: string;
  provider: string;
  /** Targets, `*` at the end for any rest. Empty: what no other pool of the provider names. */
  targets: readonly string[];
  limits: {
    requests?: number;
    tokens?: number;
    inputTokens?: number;
    outputTokens?: number;
    concurrency?: number;
    tokenCharge?: 'largest' | 'sum';
    burstMs?: number;
    fixed?: boolean;
    backgroundShare?: number;
    highUseShare?: number;
  };
  /** Tokens that may wait in provider batches at a time; absent where nobody has set a limit. */
  enqueuedBatchTokens?: number;
}

/** After how long in a class of priority a waiting step is raised to the next one. */
export interface AgeingConfig {
  standardMs: number;
  backgroundMs: number;
}

/** What a route stands for: one of the targets by weight, then the fallbacks in order. Targets are `provider/model`. */
export interface RouteConfig {
  targets: readonly { target: string; weight: number }[];
  fallback: readonly string[];
  degraded: DegradedMode;
  /** False: calls of the route never ride in a provider's batch. Absent: they may. */
  batch?: boolean;
}

/**
 * What a route does while none of its targets can be used. `wait`: its calls wait, until their job's deadline. `fail`: they
 * fail. `use`: they go to a last resort. `stale`: they get the last answer that an identical request of the tenant got
 * within a time, and wait where there is none.
 */
export type DegradedMode =
  { kind: 'wait' } | { kind: 'fail' } | { kind: 'use'; target: string } | { kind: 'stale'; forMs: number };

/** How often, and how long apart, a failed call is sent again. */
export interface RetryPolicy {
  maxAttemptsPerTarget: number;
  maxAttempts: number;
  baseDelayMs: number;
  maxDelayMs: number;
  /** A longer `Retry-After` parks the pool instead. */
  maxRetryAfterMs: number;
  maxRepairs: number;
  maxDeaths: number;
}

/** How the fleet follows its work. */
export interface ScalingConfig {
  /** Within which time what waits of a class should be taken. */
  targetWaitMs: Readonly<Record<Priority, number>>;
  /** Calls at a time, per pool. */
  minConcurrency: number;
  maxConcurrency: number | null;
  /** How long work of a class may wait before new work has to stay outside. */
  boundMs: Readonly<Record<Priority, number>>;
}

/** Everything a process is told from outside, read once, checked, frozen. */
export interface Config {
  databaseUrl: string;
  redisUrl: string;
  setting: { readonly [Name in SettingName]: SettingValue<Name> };
  providers: ReadonlyMap<string, ProviderConfig>;
  /** Every provider has at least the pool of its name. */
  pools: ReadonlyMap<string, PoolConfig>;
  /** The weights of tiers of tenants; `weightOf` knows those that are not named. */
  tiers: ReadonlyMap<string, number>;
  ageing: Readonly<AgeingConfig>;
  routes: ReadonlyMap<string, RouteConfig>;
  limits: Readonly<RequestLimits>;
  retry: Readonly<RetryPolicy>;
  scaling: Readonly<ScalingConfig>;
}

/** All that is wrong with the configuration, a line each, naming the key, the value and what would be right. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`the configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
