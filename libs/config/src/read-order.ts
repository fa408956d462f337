import { parseDurationMs } from '@millrace/contracts';
import type { AgeingConfig, PoolConfig } from './config.ts';
import type { ConfigFile } from './config-file.ts';

/** A tier that is not configured, and `standard` unless it is. */
const PLAIN_WEIGHT = 1;

/** The weight of every tier of the file. */
export function readTiers(file: ConfigFile): ReadonlyMap<string, number> {
  return new Map(Object.entries(file.tiers).map(([tier, { weight }]) => [tier, weight]));
}

/** The share of a tenant's tier beside others: one of weight 3 gets three times the tokens of one of weight 1. */
export function weightOf(tiers: ReadonlyMap<string, number>, tier: string): number {
  return tiers.get(tier) ?? PLAIN_WEIGHT;
}

/** After how long a waiting step is raised. What is wrong is added to `problems`. */
export function readAgeing(file: ConfigFile, problems: string[]): AgeingConfig {
  const durationMs = (key: 'standard' | 'background'): number => {
    const value = parseDurationMs(file.ageing[key]);
    if (value === null || value === 0) {
      problems.push(`ageing.${key}: ${JSON.stringify(file.ageing[key])} is not a duration above 0`);
    }
    return value ?? 0;
  };
  return { standardMs: durationMs('standard'), backgroundMs: durationMs('background') };
}

/** The tokens that a pool may do in a minute, input and output together; null when its limits do not say. */
export function tokensPerMinuteOf(pools: ReadonlyMap<string, PoolConfig>, pool: string): number | null {
  const limits = pools.get(pool)?.limits;
  if (!limits) return null;
  const { tokens, inputTokens, outputTokens } = limits;
  if (tokens !== undefined) return tokens;
  return inputTokens === undefined ? null : inputTokens + (outputTokens ?? 0);
}
