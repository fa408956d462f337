import { parseDurationMs } from '@millrace/contracts';
import type { PoolConfig, ProviderConfig } from './config.ts';
import type { ConfigFile } from './config-file.ts';

/**
 * The pools of the file, and one named after each provider for the targets that no other pool names. What is wrong is added
 * to `problems`.
 */
export function readPools(
  file: ConfigFile,
  providers: ReadonlyMap<string, ProviderConfig>,
  problems: string[],
): ReadonlyMap<string, PoolConfig> {
  const pools = new Map<string, PoolConfig>();
  for (const [name, entry] of Object.entries(file.pools)) {
    const provider = findProvider(name, entry.targets, providers, problems);
    if (provider !== null) {
      const limits = toLimits(name, entry, problems);
      const enqueued = entry.enqueued_batch_tokens;
      const batches = enqueued === undefined ? {} : { enqueuedBatchTokens: enqueued };
      pools.set(name, { name, provider, targets: entry.targets, limits, ...batches });
    }
  }
  for (const provider of providers.keys()) {
    if (!pools.has(provider)) {
      pools.set(provider, { name: provider, provider, targets: [], limits: {} });
    }
  }
  return pools;
}

/** The pool (capacity domain) whose limits a target (`provider/model`) shares; configured pools go before the provider's own. */
export function poolOf(pools: ReadonlyMap<string, PoolConfig>, target: string): string {
  for (const pool of pools.values()) {
    if (pool.targets.some((pattern) => matches(pattern, target))) return pool.name;
  }
  return target.slice(0, target.indexOf('/'));
}

function matches(pattern: string, target: string): boolean {
  return pattern.endsWith('*') ? target.startsWith(pattern.slice(0, -1)) : target === pattern;
}

/** A pool is one account's, so all its targets name one provider; without targets it is the provider of its name. */
function findProvider(
  name: string,
  targets: readonly string[],
  providers: ReadonlyMap<string, ProviderConfig>,
  problems: string[],
): string | null {
  const named = new Set(targets.map((target) => target.slice(0, target.indexOf('/'))));
  const [provider = name] = named;
  const problem = (text: string): null => {
    problems.push(`pools.${name}: ${text}`);
    return null;
  };
  if (named.size > 1) return problem(`its targets name several providers: ${[...named].join(', ')}`);
  if (!providers.has(provider)) {
    return named.size === 0
      ? problem('it has no targets and is not named after a provider')
      : problem(`${targets[0] ?? ''} names the provider "${provider}", which is not configured`);
  }
  if (named.size > 0 && name !== provider && providers.has(name)) {
    return problem(`it is named after the provider "${name}", but its targets are of "${provider}"`);
  }
  return provider;
}

function toLimits(
  name: string,
  entry: ConfigFile['pools'][string],
  problems: string[],
): PoolConfig['limits'] {
  const burstMs = entry.burst === undefined ? undefined : parseDurationMs(entry.burst);
  if (burstMs === null) {
    problems.push(`pools.${name}.burst: ${JSON.stringify(entry.burst)} is not a duration`);
  }
  if (entry.tokens_per_minute !== undefined && entry.input_tokens_per_minute !== undefined) {
    problems.push(
      `pools.${name}: tokens_per_minute counts input and output together; name it or the two apart`,
    );
  }
  const limits = {
    requests: entry.requests_per_minute,
    tokens: entry.tokens_per_minute,
    inputTokens: entry.input_tokens_per_minute,
    outputTokens: entry.output_tokens_per_minute,
    concurrency: entry.max_concurrent_calls,
    tokenCharge: entry.token_charge,
    burstMs: burstMs ?? undefined,
    fixed: entry.fixed,
    backgroundShare: entry.background_share,
    highUseShare: entry.high_use_share,
  };
  // What is not named is unlimited: absent, not undefined.
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
