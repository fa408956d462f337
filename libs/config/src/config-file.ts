import { z } from 'zod';

const providerName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a provider name is a-z, then up to 31 of "a-z 0-9 _ -"');
const poolName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,63}$/, 'a pool name is a-z, then up to 63 of "a-z 0-9 _ -"');
const target = z.string().regex(/^[a-z][a-z0-9_-]{0,31}\/\S{1,160}$/, 'a target is "provider/model"');

const providerSchema = z.strictObject({
  kind: z.enum(['openai', 'anthropic', 'openai_compatible']),
  base_url: z.url({ protocol: /^https?$/ }).optional(),
  api_key_env: z.string().min(1).optional(),
  webhook_secret_env: z.string().min(1).optional(),
  max_concurrent_calls: z.int().min(1).max(10_000).default(256),
  min_spacing_ms: z.int().min(0).max(60_000).default(0),
  prices: z
    .record(
      z.string(),
      z.strictObject({
        input_usd_per_million: z.number().min(0),
        output_usd_per_million: z.number().min(0),
        cached_input_usd_per_million: z.number().min(0).optional(),
        context_window: z.int().min(1).optional(),
      }),
    )
    .optional(),
});

const routeSchema = z.strictObject({
  targets: z.array(z.strictObject({ target, weight: z.number().positive().default(1) })).min(1),
  fallback: z.array(target).default([]),
  batch: z.boolean().optional(),
  degraded: z
    .union([
      z.enum(['wait', 'fail']),
      z.strictObject({ use: target }),
      z.strictObject({ stale_for: z.string() }),
    ])
    .default('wait'),
});

const perMinute = z.int().min(1);
const poolSchema = z.strictObject({
  targets: z.array(target).default([]),
  requests_per_minute: perMinute.optional(),
  tokens_per_minute: perMinute.optional(),
  input_tokens_per_minute: perMinute.optional(),
  output_tokens_per_minute: perMinute.optional(),
  max_concurrent_calls: z.int().min(1).max(100_000).optional(),
  token_charge: z.enum(['largest', 'sum']).optional(),
  burst: z.string().optional(),
  fixed: z.boolean().optional(),
  background_share: z.number().min(0.01).max(1).optional(),
  high_use_share: z.number().min(0.01).max(1).optional(),
  enqueued_batch_tokens: z.int().min(1).optional(),
});

const byPriority = (realtime: string, standard: string, background: string) =>
  z
    .strictObject({
      realtime: z.string().default(realtime),
      standard: z.string().default(standard),
      background: z.string().default(background),
    })
    .prefault({});

/** `millrace.config.yaml`: providers, pools, routes, caps, the retry policy and scaling. Unknown keys are refused. */
export const configFileSchema = z.strictObject({
  providers: z.record(providerName, providerSchema).default({}),
  pools: z.record(poolName, poolSchema).default({}),
  tiers: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'a tier is a-z, then up to 31 of "a-z 0-9 _ -"'),
      z.strictObject({ weight: z.number().min(0.001).max(1_000) }),
    )
    .default({}),
  ageing: z
    .strictObject({ standard: z.string().default('10m'), background: z.string().default('30m') })
    .prefault({}),
  routes: z.record(z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/), routeSchema).default({}),
  limits: z
    .strictObject({
      max_body_bytes: z.int().min(1_024).optional(),
      max_text_characters: z.int().min(1).optional(),
      max_plan_depth: z.int().min(1).max(64).optional(),
      max_plan_nodes: z.int().min(1).optional(),
      max_map_chunks: z.int().min(1).optional(),
      max_output_schema_bytes: z.int().min(2).optional(),
      default_max_output_tokens: z.int().min(1).optional(),
      max_output_tokens: z.int().min(1).optional(),
    })
    .default({}),
  scaling: z
    .strictObject({
      target_wait: byPriority('2s', '30s', '10m'),
      min_concurrency: z.int().min(1).max(100_000).default(1),
      max_concurrency: z.int().min(1).max(100_000).optional(),
    })
    .prefault({}),
  backpressure: byPriority('10m', '2h', '24h'),
  retry: z
    .strictObject({
      max_attempts_per_target: z.int().min(1).max(50).default(4),
      max_attempts: z.int().min(1).max(100).default(10),
      base_delay: z.string().default('1s'),
      max_delay: z.string().default('30s'),
      max_retry_after: z.string().default('60s'),
      max_repairs: z.int().min(0).max(2).default(2),
      max_deaths: z.int().min(1).max(10).default(3),
    })
    .prefault({}),
});

export type ConfigFile = z.infer<typeof configFileSchema>;
