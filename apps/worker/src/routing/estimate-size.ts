import type { CallSize } from '@millrace/capacity';
import type { StepRequest } from '@millrace/contracts';

/** Of English text; others have more tokens per character. Comparing waits and ordering tenants need no better. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * What a call is likely to take of its pool at most, in tokens and fractions of them; the capacity book counts better.
 * `usualOutputTokens`: what calls like it get lately, null while nothing is known. A provider that counts what is produced
 * looks fuller than it is without it.
 */
export function estimateSize(
  request: StepRequest,
  defaultMaxOutputTokens: number,
  usualOutputTokens: number | null = null,
): CallSize {
  let characters = request.system?.length ?? 0;
  for (const { content } of request.messages) characters += content.length;
  return {
    inputTokens: characters / CHARACTERS_PER_TOKEN,
    // Vectors are not counted as output.
    maxOutputTokens: request.embedding ? 0 : (request.maxOutputTokens ?? defaultMaxOutputTokens),
    ...(usualOutputTokens === null ? {} : { expectedOutputTokens: usualOutputTokens }),
  };
}
