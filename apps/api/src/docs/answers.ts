import { errorCatalogue, problemSchema } from '@millrace/contracts';
import type { HttpErrorCode } from '@millrace/contracts';
import type { z } from 'zod';
import type { ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';

const requestIdHeader = {
  description: 'The client’s own id, or a new one. Name it when you ask for help.',
  schema: { type: 'string' as const },
};

/** A successful answer with a JSON body. */
export function jsonAnswer(
  description: string,
  schema: z.ZodType,
  headers: Record<string, string> = {},
): ZodOpenApiResponseObject {
  return { description, headers: withRequestId(headers), content: { 'application/json': { schema } } };
}

/** A successful answer without a body. */
export function emptyAnswer(description: string): ZodOpenApiResponseObject {
  return { description, headers: withRequestId({}) };
}

/** Problem documents by status; each status lists the codes that it may carry. */
export function problemAnswers(...codes: HttpErrorCode[]): ZodOpenApiResponsesObject {
  const byStatus = Map.groupBy(new Set(codes), (code) => errorCatalogue[code].status);
  const answers: ZodOpenApiResponsesObject = {};
  for (const [status, group] of [...byStatus].sort(([a], [b]) => a - b)) {
    const headers: Record<string, string> =
      status === 429 || status === 503 ? { 'Retry-After': 'Seconds to wait.' } : {};
    answers[`${status}` as '400'] = {
      description: group.map((code) => `\`${code}\`: ${errorCatalogue[code].title}.`).join('\n\n'),
      headers: withRequestId(headers),
      content: { 'application/problem+json': { schema: problemSchema } },
    };
  }
  return answers;
}

/** What every route behind a key may answer, and what this one may besides. */
export function keyedProblems(...codes: HttpErrorCode[]): ZodOpenApiResponsesObject {
  return problemAnswers(
    ...codes,
    'unauthenticated',
    'insufficient_scope',
    'rate_limited',
    'internal_error',
    'ledger_unavailable',
    'shutting_down',
  );
}

/** What reading a JSON body may answer besides. */
export const bodyProblems = [
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'validation_failed',
] as const satisfies HttpErrorCode[];

function withRequestId(headers: Record<string, string>): NonNullable<ZodOpenApiResponseObject['headers']> {
  const described = Object.entries(headers).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' as const } },
  ]);
  return { 'x-request-id': requestIdHeader, ...Object.fromEntries(described) } as NonNullable<
    ZodOpenApiResponseObject['headers']
  >;
}
