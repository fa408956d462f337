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
    const bytes = Buffer.from(base64, 'base64');
    if (!isVector(bytes)) return null;
    vectors.push(embedding.encoding === 'base64' ? base64 : toNumbers(bytes));
  }
  return embedding.single ? (vectors[0] ?? null) : vectors;
}

/** Whether these are 32-bit floats, little endian, that JSON can hold. */
function isVector(bytes: Buffer): boolean {
  if (bytes.length === 0 || bytes.length % 4 !== 0) return false;
  for (let at = 0; at < bytes.length; at += 4) {
    if (!Number.isFinite(bytes.readFloatLE(at))) return false;
  }
  return true;
}

function toNumbers(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
}
