import { isObject, type JsonObject } from './json-value.ts';
import type { Vendor } from './model-catalogue.ts';

/** Limits of one account and model group in one sliding window; `null` means unlimited. */
export interface GroupLimits {
  readonly requests: number | null;
  /** OpenAI: one pool of tokens, charged on arrival. */
  readonly tokens: number | null;
  /** Anthropic: uncached input tokens. */
  readonly inputTokens: number | null;
  /** Anthropic: output tokens as they are produced. */
  readonly outputTokens: number | null;
  readonly concurrency: number | null;
}

export interface LimitsConfig {
  readonly openai: GroupLimits;
  readonly anthropic: GroupLimits;
  /** By limit group (`gpt-6-luna`, `haiku`), above the vendor's defaults. */
  readonly groups: Readonly<Record<string, Partial<GroupLimits>>>;
  /** By account (see `accountOf`), above everything else. */
  readonly accounts: Readonly<Record<string, Partial<GroupLimits>>>;
  /** False: count what arrives and refuse nothing. */
  readonly enforce: boolean;
  /** OpenAI: refused requests use up the request limit too, as the vendor says. */
  readonly countRefused: boolean;
  /** Length of the sliding window; 60,000 as the vendors have it. Tests may shorten it. */
  readonly windowMs: number;
  /** A call that arrives this soon after a refusal may have left before it, so it is not early. */
  readonly retryAfterGraceMs: number;
}

/** Durations of a provider batch on the movable clock, and the limits of both batch APIs. `null`: no limit. */
export interface BatchConfig {
  readonly validateMs: number;
  /** From the first line to the last, whatever their number … */
  readonly runMs: number;
  /** … and by model, instead of it. */
  readonly modelRunMs: Readonly<Record<string, number>>;
  /** Added for each line. */
  readonly perLineMs: number;
  /** Each batch takes up to this share less or more: 0.2 is 80 % to 120 %. */
  readonly jitter: number;
  readonly finalizeMs: number;
  readonly cancelMs: number;
  /** A batch that has not ended this long after its creation expires. */
  readonly windowMs: number;
  /** Anthropic: results are gone this long after the batch's creation. */
  readonly resultsMs: number;
  /** How often batches move on by themselves, in real time. */
  readonly tickMs: number;
  readonly maxRequests: Readonly<Record<Vendor, number>>;
  /** OpenAI: prompt tokens in batches of one model that have not ended … */
  readonly enqueuedTokens: number | null;
  /** … and by model, instead of it. */
  readonly modelEnqueuedTokens: Readonly<Record<string, number>>;
  /** Anthropic: requests in batches that have not ended. */
  readonly queuedRequests: number | null;
  /** OpenAI: batches created in an hour of the movable clock. */
  readonly createdPerHour: number | null;
}

/** Where events of OpenAI batches are posted, signed as Standard Webhooks say. */
export interface WebhookConfig {
  readonly url: string | null;
  /** `whsec_` and base64, or plain text. */
  readonly secret: string;
}

export interface SimulatorConfig {
  readonly seed: number;
  /** Time to the first token. */
  readonly latencyMs: number;
  /** Added to the latency, uniformly between 0 and this. */
  readonly latencyJitterMs: number;
  /** 0: all tokens at once. */
  readonly tokensPerSecond: number;
  readonly limits: LimitsConfig;
  /** Keys that are accepted; `null`: every key but those that begin with `sk-invalid`. */
  readonly keys: readonly string[] | null;
  /** Rules of `POST /_simulator/faults`, in force from the start. */
  readonly faults: readonly JsonObject[];
  /** Further models by id: `{vendor, input, output, contextTokens, limitGroup, …}`. */
  readonly models: Readonly<Record<string, JsonObject>>;
  readonly batches: BatchConfig;
  readonly webhooks: WebhookConfig;
  /** Reasoning tokens that each call of an OpenAI reasoning model spends. */
  readonly reasoningTokens: number;
  /** True: a prompt prefix of 1,024 tokens or more that was seen before is billed as cached. */
  readonly promptCache: boolean;
  /** Journal entries kept in memory; the file keeps all. */
  readonly journalInMemory: number;
}

/** A change to a configuration: any part of it, nested. */
export type ConfigPatch = { readonly [Key in keyof SimulatorConfig]?: DeepPartial<SimulatorConfig[Key]> };
type DeepPartial<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: DeepPartial<Value[Key]> }
    : Value;

export function defaultConfig(): SimulatorConfig {
  return {
    seed: 1,
    latencyMs: 0,
    latencyJitterMs: 0,
    tokensPerSecond: 0,
    limits: {
      openai: {
        requests: 1_000_000,
        tokens: 1_000_000_000,
        inputTokens: null,
        outputTokens: null,
        concurrency: null,
      },
      anthropic: {
        requests: 1_000_000,
        tokens: null,
        inputTokens: 1_000_000_000,
        outputTokens: 1_000_000_000,
        concurrency: null,
      },
      groups: {},
      accounts: {},
      enforce: true,
      countRefused: true,
      windowMs: 60_000,
      retryAfterGraceMs: 100,
    },
    keys: null,
    faults: [],
    models: {},
    batches: {
      validateMs: 1_000,
      runMs: 600_000,
      modelRunMs: {},
      perLineMs: 0,
      jitter: 0,
      finalizeMs: 1_000,
      cancelMs: 1_000,
      windowMs: 24 * 3_600_000,
      resultsMs: 29 * 24 * 3_600_000,
      tickMs: 50,
      maxRequests: { openai: 50_000, anthropic: 100_000 },
      enqueuedTokens: null,
      modelEnqueuedTokens: {},
      queuedRequests: 500_000,
      createdPerHour: 2_000,
    },
    webhooks: { url: null, secret: 'whsec_c2ltdWxhdG9yLXdlYmhvb2stc2VjcmV0' },
    reasoningTokens: 0,
    promptCache: false,
    journalInMemory: 200_000,
  };
}

/** The configuration with a patch laid over it; unknown keys throw, so that a typing error is not silence. */
export function patchConfig(config: SimulatorConfig, patch: unknown): SimulatorConfig {
  if (!isObject(patch)) throw new TypeError('the simulator configuration must be a JSON object');
  return merge(config as unknown as JsonObject, patch, '') as unknown as SimulatorConfig;
}

/** Objects whose keys are ids rather than settings. */
const FREE_KEYS: readonly string[] = [
  'models.',
  'limits.groups.',
  'limits.accounts.',
  'batches.modelRunMs.',
  'batches.modelEnqueuedTokens.',
];

function merge(base: JsonObject, patch: JsonObject, path: string): JsonObject {
  const merged: JsonObject = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const free = FREE_KEYS.some((prefix) => path.startsWith(prefix));
    if (!free && !(key in base)) throw new TypeError(`unknown simulator setting ${path}${key}`);
    const before = merged[key];
    merged[key] = isObject(value) && isObject(before) ? merge(before, value, `${path}${key}.`) : value;
  }
  return merged;
}
