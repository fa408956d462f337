import { createHash } from 'node:crypto';
import { canonicalJson, jsonSchema } from '@millrace/contracts';
import type { StepRequest } from '@millrace/contracts';

/** What requests have in common that ask the same of the same route or model, as 43 characters of base64url. */
export function hashRequest(request: StepRequest): string {
  // Whether the text is watched while it is written does not change what is asked.
  const { stream: _stream, ...asked } = request;
  return createHash('sha256')
    .update(canonicalJson(jsonSchema.parse(asked)))
    .digest('base64url');
}
