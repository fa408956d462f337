import type { ProviderKind } from './provider.ts';

/** How one provider account is reached. */
export interface ProviderOptions {
  /** The name in `provider/model` targets. */
  name: string;
  kind: ProviderKind;
  /** Where the vendor's own address is not meant; with the `/v1` for the OpenAI dialects, without it for Anthropic. */
  baseUrl?: string;
  /** Empty for a server without authentication. */
  apiKey: string;
  /** Requests that this process has open at once; more wait in order. */
  maxConcurrentSockets: number;
  /** The least time between the beginnings of two of them; default 0. */
  minSpacingMs?: number;
  /** OpenAI only. */
  organization?: string;
  /** OpenAI only. */
  project?: string;
  /** Longest silence after the first byte, default 60 s; pings count as sound. */
  idleTimeoutMs?: number;
  /** Tokens of a model per o200k token, for usage that must be estimated; default 1. */
  tokenizerFactor?: (model: string) => number;
  fetch?: typeof globalThis.fetch;
  /** Milliseconds since the epoch, for headers that name an instant. */
  now?: () => number;
}
