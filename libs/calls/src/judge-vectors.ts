import type { Json, StepRequest } from '@millrace/contracts';
import type { ProviderAnswer } from '@millrace/providers';

/**
 * The output of a step that asked for vectors, as numbers or in base64 as it wanted them; null when the answer does not
 * hold one usable vector per input.
 */
export function readVectors(
  { messages, embedding }: Pick<StepRequest, 'messages' | 'embedding'>,
  answer: Pick<ProviderAnswer, 'embeddings'>,
): Json | null {
  const { embeddings = [] } = answer;
  if (embedding === undefined || embeddings.length !== messages.length) return null;
  const vectors: Json[] = [];
  for (const base64 of embeddings) {
    const numbers = toNumbers(base64);
    if (numbers === null) return null;
    vectors.push(embedding.encoding === 'base64' ? base64 : numbers);
  }
  return embedding.single ? (vectors[0] ?? null) : vectors;
}

/** 32-bit floats, little endian; null where they are none, or where JSON could not hold them. */
function toNumbers(base64: string): number[] | null {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) return null;
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const number = bytes.readFloatLE(at);
    if (!Number.isFinite(number)) return null;
    numbers.push(number);
  }
  return numbers;
}
