import { createHash } from 'node:crypto';
import { canonicalJson } from '@millrace/contracts';
import type { Json, StepRequest } from '@millrace/contracts';

/**
 * Fingerprint of all in a request that a provider could refuse, whatever the words: two requests of one shape are both taken
 * or both refused. 22 characters of base64url.
 */
export function shapeOf(request: StepRequest): string {
  const { system, messages, output, maxOutputTokens, logprobs = false } = request;
  const shape = {
    system: system !== null,
    roles: messages.map((message) => message.role).filter((role, at, all) => role !== all[at - 1]),
    output: output as Json,
    maxOutputTokens,
    ...(logprobs ? { logprobs } : {}),
  };
  return createHash('sha256').update(canonicalJson(shape)).digest('base64url').slice(0, 22);
}
