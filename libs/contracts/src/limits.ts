/** Caps on what a request may ask for. A deployment changes them in its configuration; these are the defaults. */
export interface RequestLimits {
  maxBodyBytes: number;
  /** Characters of one prompt, message, system text or document. */
  maxTextCharacters: number;
  maxPlanDepth: number;
  maxPlanNodes: number;
  maxMapChunks: number;
  maxMetadataPairs: number;
  maxMetadataKeyCharacters: number;
  maxMetadataValueCharacters: number;
  /** Bytes of one JSON Schema for an output. */
  maxOutputSchemaBytes: number;
  /** Cap of output tokens on a call that names none. */
  defaultMaxOutputTokens: number;
  maxOutputTokens: number;
}

/** The caps of the HTTP contract (api.md, "Limits on input"). */
export const defaultRequestLimits: Readonly<RequestLimits> = Object.freeze({
  maxBodyBytes: 10 * 1024 * 1024,
  maxTextCharacters: 8_000_000,
  maxPlanDepth: 8,
  maxPlanNodes: 1_000,
  maxMapChunks: 10_000,
  maxMetadataPairs: 16,
  maxMetadataKeyCharacters: 64,
  maxMetadataValueCharacters: 512,
  maxOutputSchemaBytes: 65_536,
  defaultMaxOutputTokens: 4_096,
  maxOutputTokens: 128_000,
});
