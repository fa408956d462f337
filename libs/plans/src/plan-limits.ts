/**
 * Caps under which a plan runs. They must stay the same while a job runs: a job whose grouping of notes was decided under
 * one `reduceInputTokens` would group them anew under another, and pay the reduce calls again.
 */
export interface PlanLimits {
  /** Chunks or items of one `map_reduce`. */
  maxMapChunks: number;
  /** Steps of one job, those of nested maps included. */
  maxSteps: number;
  /** Cap of output tokens on a call that names none. */
  defaultMaxOutputTokens: number;
  /** Tokens that the input of one reduce may have; with more, the notes are reduced in levels. */
  reduceInputTokens: number;
  /** Characters (UTF-16 units) of one rendered text. */
  maxTextCharacters: number;
  /** Characters of everything that one advance renders: it bounds the memory that one job can take. */
  maxRenderedCharacters: number;
}

/** The limits of a deployment that configures none; 100,000 tokens fit every current model with room for the answer. */
export const defaultPlanLimits: Readonly<PlanLimits> = Object.freeze({
  maxMapChunks: 10_000,
  maxSteps: 20_000,
  defaultMaxOutputTokens: 4_096,
  reduceInputTokens: 100_000,
  maxTextCharacters: 8_000_000,
  maxRenderedCharacters: 256_000_000,
});
