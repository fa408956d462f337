import type { TokenUsage } from '@millrace/contracts';

/** Which wire protocol a provider speaks; every kind has one folder in this lib. */
export const providerKinds = ['openai', 'anthropic', 'openai_compatible'] as const;
export type ProviderKind = (typeof providerKinds)[number];

/** One model call, complete: nothing else decides what is sent. */
export interface ProviderCall {
  /** The vendor's own model name, without the provider's. */
  model: string;
  system: string | null;
  /** Where vectors are asked for, each is one input. */
  messages: { role: 'user' | 'assistant'; content: string }[];
  /** JSON Schema that the answer must fit; the vendor is asked to enforce it where it can. */
  output: { schema: Record<string, unknown>; name: string } | null;
  maxOutputTokens: number;
  /** Anthropic takes neither: it answers without them. */
  temperature?: number;
  topP?: number;
  /**
   * `job/step#fence`, so that an answer can be found at the vendor: sent as
   * `x-client-request-id`. Characters outside printable ASCII are replaced.
   */
  requestTag: string;
  /** From the moment the request leaves to the last byte. */
  timeoutMs: number;
  /** OpenAI's `service_tier` for this call; other vendors ignore it. */
  serviceTier?: 'auto' | 'default' | 'flex' | 'priority' | null;
  /** Asks for vectors instead of text, of so many numbers (null: as many as the model has). */
  embedding?: { dimensions: number | null };
  /** Asks for log probabilities; vendors that have none (Anthropic) ignore it. */
  logprobs?: boolean;
}

/** What the caller hears while a call runs. A hook that throws is ignored: a paid answer is worth more. */
export interface ProviderHooks {
  /** Aborting ends the call with {@link CallAborted}, queued or running. */
  signal: AbortSignal;
  /** The request leaves now; before this the call only waited for a socket. */
  onSent?(): void;
  /** The first byte of the answer's body arrived. */
  onFirstByte?(): void;
  /** A piece of the answer's text, in order. */
  onText?(text: string): void;
  /**
   * What the answer's headers said of the rate limits; also called when the call was refused. `processingMs` is how long
   * the vendor had worked on the call by then, null where it does not say.
   */
  onLimits?(limits: ObservedLimits, processingMs: number | null): void;
}

/** A complete answer: the vendor's terminal event was seen. */
export interface ProviderAnswer {
  text: string;
  /** `length`: the answer was cut at the output limit; the text is what there was. */
  finish: 'stop' | 'length';
  usage: TokenUsage;
  /** True when the vendor sent no usage and `usage` was counted here. */
  usageEstimated: boolean;
  /** The model that answered, as the vendor names it (often with a date). */
  model: string;
  /** The tier the vendor says it used, in the vendor's word; it decides the price. */
  serviceTier: string | null;
  providerRequestId: string | null;
  responseId: string | null;
  httpStatus: number;
  limits: ObservedLimits;
  /** The vectors, in the order of the inputs: 32-bit floats, little endian, in base64. Only where they were asked for. */
  embeddings?: string[];
  /** Mean of the natural log probabilities of the text's tokens; absent where the vendor told none. */
  meanLogprob?: number;
}

/** One rate limit as an answer's headers told it. */
export interface LimitReading {
  /** Units per window; null when not told. */
  limit: number | null;
  remaining: number | null;
  /** Until the limit is full again, null when not told. */
  resetMs: number | null;
}

/** The rate limits that the headers named; what they did not name is absent. */
export interface ObservedLimits {
  requests?: LimitReading;
  tokens?: LimitReading;
  inputTokens?: LimitReading;
  outputTokens?: LimitReading;
}

/** A vendor account that answers calls. */
export interface Provider {
  readonly name: string;
  readonly kind: ProviderKind;
  /**
   * Sends exactly one HTTP request. Rejects with `TerminalError`, `RetryableError` (both of contracts, with what is known
   * in `failure`) or {@link CallAborted}; with nothing else.
   */
  call(call: ProviderCall, hooks: ProviderHooks): Promise<ProviderAnswer>;
}
