import type { StepRequest } from '@millrace/contracts';

/** Of English text; others have more tokens per character. The order between tenants needs no better. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * What a call is likely to take of its pool at most, input and output, in tokens. For the order between tenants; the capacity
 * book counts better.
 */
export function estimateTokens(request: StepRequest, defaultMaxOutputTokens: number): number {
  const characters = request.messages.reduce(
    (sum, { content }) => sum + content.length,
    request.system?.length ?? 0,
  );
  const output = request.embedding ? 0 : (request.maxOutputTokens ?? defaultMaxOutputTokens);
  return Math.ceil(characters / CHARACTERS_PER_TOKEN) + output;
}
