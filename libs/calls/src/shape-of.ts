import { createHash } from 'node:crypto';
import { canonicalJson, vectorShapeMark } from '@millrace/contracts';
import type { Json, StepRequest } from '@millrace/contracts';

/**
 * Fingerprint of all in a request that a provider could refuse, whatever the words: two requests of one shape are both taken
 * or both refused. 22 characters of base64url, with a mark before them where vectors are asked for.
 */
export function shapeOf(request: StepRequest): string {
  const {
    system,
    messages,
    output,
    maxOutputTokens,
    temperature,
    topP,
    logprobs = false,
    embedding,
  } = request;
  const shape = {
    system: system !== null,
    roles: messages.map((message) => message.role).filter((role, at, all) => role !== all[at - 1]),
    output: output as Json,
    maxOutputTokens,
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(logprobs ? { logprobs } : {}),
    ...(embedding ? { dimensions: embedding.dimensions } : {}),
  };
  const fingerprint = createHash('sha256').update(canonicalJson(shape)).digest('base64url').slice(0, 22);
  return embedding ? `${vectorShapeMark}${fingerprint}` : fingerprint;
}

/** Whether the requests of a shape ask for vectors: those and others have batches of their own. */
export function asksForVectors(shape: string): boolean {
  return shape.startsWith(vectorShapeMark);
}
