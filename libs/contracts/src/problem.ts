import { z } from 'zod';
import { errorCatalogue } from './error-catalogue.ts';
import type { HttpErrorCode } from './error-catalogue.ts';

/** One thing that is wrong with a request: where (`map.prompt`, `metadata.user_id`) and what. */
export interface ProblemDetail {
  path: string;
  message: string;
}

/** An error that answers a request as `application/problem+json` (RFC 9457). */
export class ProblemError extends Error {
  readonly code: HttpErrorCode;
  readonly errors: readonly ProblemDetail[];
  readonly retryAfterMs: number | null;

  constructor(
    code: HttpErrorCode,
    detail: string,
    extra: { errors?: readonly ProblemDetail[]; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(detail, extra.cause === undefined ? {} : { cause: extra.cause });
    this.name = 'ProblemError';
    this.code = code;
    this.errors = extra.errors ?? [];
    this.retryAfterMs = extra.retryAfterMs ?? null;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }
}

/** The problem document on the wire (RFC 9457, with our members `code`, `request_id`, `errors`). */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string(),
    request_id: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

export type Problem = z.infer<typeof problemSchema>;
