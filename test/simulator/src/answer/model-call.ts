import type { JsonObject } from '../json-value.ts';
import type { ModelCard } from '../model-catalogue.ts';
import type { PromptMarkers } from '../prompt-markers.ts';

export interface Turn {
  readonly role: 'user' | 'assistant' | 'tool';
  readonly text: string;
}

export interface ToolOffer {
  readonly name: string;
  readonly schema: JsonObject;
}

export type AnswerFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json_object' }
  | { readonly kind: 'json_schema'; readonly schema: JsonObject };

/** A request for one model call, freed of its dialect: what the simulator needs to answer it. */
export interface ModelCall {
  readonly card: ModelCard;
  /** The model as the client named it. */
  readonly model: string;
  readonly system: string;
  readonly turns: readonly Turn[];
  /** System and turns in one text, markers included. */
  readonly promptText: string;
  readonly markers: PromptMarkers;
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
  readonly format: AnswerFormat;
  readonly tools: readonly ToolOffer[];
  /** A tool that must be called; `*`: any of those offered. */
  readonly forcedTool: string | null;
  readonly stopSequences: readonly string[];
  readonly stream: boolean;
  /** Chat Completions sends usage in a stream only when asked. */
  readonly includeUsage: boolean;
  readonly includeObfuscation: boolean;
  /** Log probabilities wanted: how many alternatives per token, or null for none. */
  readonly topLogprobs: number | null;
  /** The tier that serves the call, as the answer reports it. */
  readonly serviceTier: string;
  readonly body: JsonObject;
}
