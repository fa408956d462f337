import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defaultRequestLimits, parseDurationMs } from '@millrace/contracts';
import type { RequestLimits } from '@millrace/contracts';
import { parse } from 'yaml';
import { ConfigError } from './config.ts';
import type { Config, ProviderConfig, RetryPolicy } from './config.ts';
import { configFileSchema } from './config-file.ts';
import type { ConfigFile } from './config-file.ts';
import { readAgeing, readTiers } from './read-order.ts';
import { readPools } from './read-pools.ts';
import { readRoutes } from './read-routes.ts';
import { readScaling } from './read-scaling.ts';
import { readSettings } from './read-settings.ts';
import type { Environment } from './read-settings.ts';
import type { SettingName } from './settings.ts';

/**
 * Reads environment and `millrace.config.yaml` into one frozen object. Throws ConfigError with everything that is wrong;
 * nothing is guessed. `workingDirectory` is where the file is looked for when MILLRACE_CONFIG does not name it.
 */
export function loadConfig(
  environment: Environment = process.env,
  workingDirectory: string = process.cwd(),
): Config {
  const { values, problems } = readSettings(environment);
  // A value that could not be read is a problem already, so nobody gets to see its absence.
  const setting = values as Config['setting'];
  for (const name of ['DATABASE_URL', 'REDIS_URL'] satisfies SettingName[]) {
    if (setting[name] === null) problems.push(`${name} is not set`);
  }
  if (setting.MILLRACE_JOB_RETENTION < 86_400_000) {
    problems.push(
      'MILLRACE_JOB_RETENTION: at least 24h, because idempotency keys live as long as their jobs',
    );
  }
  if (setting.MILLRACE_BLOB_STORE?.startsWith('s3://')) {
    for (const name of [
      'MILLRACE_BLOB_S3_ACCESS_KEY_ID',
      'MILLRACE_BLOB_S3_SECRET_ACCESS_KEY',
    ] satisfies SettingName[]) {
      if (setting[name] === null) problems.push(`${name} is not set, and MILLRACE_BLOB_STORE is in S3`);
    }
  }
  const file = readFile(setting.MILLRACE_CONFIG, workingDirectory, problems);
  const providers = toProviders(file, environment, setting, problems);
  const pools = readPools(file, providers, problems);
  const tiers = readTiers(file);
  const ageing = readAgeing(file, problems);
  const routes = readRoutes(file, providers, problems);
  const retry = toRetryPolicy(file, problems);
  const scaling = readScaling(file, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({
    databaseUrl: setting.DATABASE_URL ?? '',
    redisUrl: setting.REDIS_URL ?? '',
    setting: Object.freeze(setting),
    providers,
    pools,
    tiers,
    ageing,
    routes,
    limits: Object.freeze(toLimits(file)),
    retry: Object.freeze(retry),
    scaling: Object.freeze(scaling),
  });
}

/** {@link loadConfig}, or the list of problems on standard error and exit code 78 (EX_CONFIG of sysexits). */
export function loadConfigOrExit(): Config {
  try {
    return loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(78);
  }
}

function readFile(path: string | null, workingDirectory: string, problems: string[]): ConfigFile {
  const file = resolve(workingDirectory, path ?? 'millrace.config.yaml');
  if (!existsSync(file)) {
    if (path !== null) problems.push(`MILLRACE_CONFIG=${JSON.stringify(path)}: there is no such file`);
    return configFileSchema.parse({});
  }
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    problems.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    return configFileSchema.parse({});
  }
  const parsed = configFileSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  problems.push(
    ...parsed.error.issues.map((issue) => `${file}: ${issue.path.join('.') || '(top)'}: ${issue.message}`),
  );
  return configFileSchema.parse({});
}

/** The providers of the file; without one of the names `openai` and `anthropic` there, the vendors themselves. */
function toProviders(
  file: ConfigFile,
  environment: Environment,
  setting: Config['setting'],
  problems: string[],
): ReadonlyMap<string, ProviderConfig> {
  const vendor = (
    kind: 'openai' | 'anthropic',
    apiKey: string | null,
    baseUrl: string | null,
  ): ProviderConfig => ({
    name: kind,
    kind,
    baseUrl,
    apiKey,
    webhookSecret: kind === 'openai' ? setting.OPENAI_WEBHOOK_SECRET : null,
    maxConcurrentCalls: 256,
    minSpacingMs: 0,
    prices: {},
  });
  const providers = new Map<string, ProviderConfig>([
    ['openai', vendor('openai', setting.OPENAI_API_KEY, setting.OPENAI_BASE_URL)],
    ['anthropic', vendor('anthropic', setting.ANTHROPIC_API_KEY, setting.ANTHROPIC_BASE_URL)],
  ]);
  for (const [name, entry] of Object.entries(file.providers)) {
    const known = providers.get(name);
    const key =
      entry.api_key_env === undefined ? (known?.apiKey ?? null) : (environment[entry.api_key_env] ?? null);
    const { webhook_secret_env: secretName } = entry;
    if (secretName !== undefined && entry.kind !== 'openai') {
      problems.push(`providers.${name}.webhook_secret_env: only providers of the kind openai send webhooks`);
    }
    providers.set(name, {
      name,
      kind: entry.kind,
      baseUrl: entry.base_url ?? known?.baseUrl ?? null,
      // Servers of one's own often want no key, but the SDK insists on one.
      apiKey: key ?? (entry.kind === 'openai_compatible' && entry.api_key_env === undefined ? 'none' : null),
      webhookSecret:
        secretName === undefined ? (known?.webhookSecret ?? null) : (environment[secretName] ?? null),
      maxConcurrentCalls: entry.max_concurrent_calls,
      minSpacingMs: entry.min_spacing_ms,
      prices: Object.fromEntries(
        Object.entries(entry.prices ?? {}).map(([model, price]) => [
          model,
          {
            inputUsd: price.input_usd_per_million,
            outputUsd: price.output_usd_per_million,
            cachedInputUsd: price.cached_input_usd_per_million ?? null,
            contextWindow: price.context_window ?? null,
          },
        ]),
      ),
    });
  }
  return providers;
}

function toRetryPolicy(file: ConfigFile, problems: string[]): RetryPolicy {
  const durationMs = (key: 'base_delay' | 'max_delay' | 'max_retry_after'): number => {
    const value = parseDurationMs(file.retry[key]);
    if (value === null) problems.push(`retry.${key}: ${JSON.stringify(file.retry[key])} is not a duration`);
    return value ?? 0;
  };
  return {
    maxAttemptsPerTarget: file.retry.max_attempts_per_target,
    maxAttempts: file.retry.max_attempts,
    baseDelayMs: durationMs('base_delay'),
    maxDelayMs: durationMs('max_delay'),
    maxRetryAfterMs: durationMs('max_retry_after'),
    maxRepairs: file.retry.max_repairs,
    maxDeaths: file.retry.max_deaths,
  };
}

function toLimits(file: ConfigFile): RequestLimits {
  const { limits } = file;
  const base = defaultRequestLimits;
  return {
    ...base,
    maxBodyBytes: limits.max_body_bytes ?? base.maxBodyBytes,
    maxTextCharacters: limits.max_text_characters ?? base.maxTextCharacters,
    maxPlanDepth: limits.max_plan_depth ?? base.maxPlanDepth,
    maxPlanNodes: limits.max_plan_nodes ?? base.maxPlanNodes,
    maxMapChunks: limits.max_map_chunks ?? base.maxMapChunks,
    maxOutputSchemaBytes: limits.max_output_schema_bytes ?? base.maxOutputSchemaBytes,
    defaultMaxOutputTokens: limits.default_max_output_tokens ?? base.defaultMaxOutputTokens,
    maxOutputTokens: limits.max_output_tokens ?? base.maxOutputTokens,
  };
}
