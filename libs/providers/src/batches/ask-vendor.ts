import { RetryableError, TerminalError } from '@millrace/contracts';
import type { z } from 'zod';
import { makeFailure } from '../failures/failure.ts';
import type { FailureFacts, Verdict } from '../failures/failure.ts';
import { networkVerdict } from '../failures/network-verdict.ts';
import { promptlessDetail } from '../failures/safe-detail.ts';
import type { ObservedLimits } from '../provider.ts';
import { readRetryAfterMs } from '../rate-limit-headers/retry-after.ts';
import type { VendorFailure } from '../sending/send-call.ts';
import { transportFailureOf } from '../sending/transport-failure.ts';

/** What differs between the vendors when something is asked that is no model call. */
export interface BatchVendor {
  provider: string;
  requestIdHeader: string;
  now: () => number;
  readLimits: (headers: Headers) => ObservedLimits;
  /** Translates an error of the vendor's SDK; null when it is none. */
  explain: (error: unknown) => VendorFailure | null;
}

/**
 * Asks once and translates what goes wrong into `TerminalError` or `RetryableError`; after the signal's abort the signal's
 * reason is thrown instead.
 */
export async function askVendor<Result>(
  vendor: BatchVendor,
  signal: AbortSignal | null,
  ask: () => Promise<Result>,
): Promise<Result> {
  signal?.throwIfAborted();
  try {
    return await ask();
  } catch (error) {
    signal?.throwIfAborted();
    throw toBatchError(vendor, error);
  }
}

/** What the vendor sent, checked; an answer of another shape is the vendor's failure and may be asked for again. */
export function expectShape<Schema extends z.ZodType>(
  vendor: BatchVendor,
  schema: Schema,
  value: unknown,
): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw badAnswer(vendor, `unexpected answer${fields === '' ? '' : ` (${fields.slice(0, 200)})`}`);
}

/** The vendor answered something that cannot be used; a later try may bring better. */
export function badAnswer(vendor: BatchVendor, detail: string): RetryableError | TerminalError {
  return makeFailure(badAnswerVerdict, facts(vendor, { detail }));
}

/** What the vendor will have in a while is not there yet. */
export function notYet(vendor: BatchVendor, detail: string): RetryableError | TerminalError {
  return makeFailure(notYetVerdict, facts(vendor, { detail, retryAfterMs: NOT_YET_RETRY_MS }));
}

/** True for an answer that the vendor does not know (any more) what was asked for. */
export function isNotFound(error: unknown): boolean {
  return (
    (error instanceof TerminalError || error instanceof RetryableError) && error.failure.httpStatus === 404
  );
}

const NOT_YET_RETRY_MS = 30_000;
const badAnswerVerdict: Verdict = {
  code: 'provider_bad_answer',
  retry: true,
  scope: 'call',
  maybeBilled: true,
};
const notYetVerdict: Verdict = {
  code: 'provider_unavailable',
  retry: true,
  scope: 'call',
  maybeBilled: false,
};

function toBatchError(vendor: BatchVendor, error: unknown): TerminalError | RetryableError {
  if (error instanceof TerminalError || error instanceof RetryableError) return error;
  const network = transportFailureOf(error);
  if (network) return makeFailure(networkVerdict(network), facts(vendor, { providerCode: network.code }));
  const explained = vendor.explain(error);
  if (!explained) return unexplained(vendor, error);
  const { verdict, httpStatus, providerCode, headers, message } = explained;
  return makeFailure(
    verdict,
    facts(vendor, {
      httpStatus,
      providerCode,
      providerRequestId: headers?.get(vendor.requestIdHeader) ?? null,
      detail: promptlessDetail(message),
      retryAfterMs: headers ? readRetryAfterMs(headers, vendor.readLimits(headers), vendor.now()) : null,
    }),
  );
}

/** The SDK's own clock, which may have cut a request that was served, or a mistake on this side. */
function unexplained(vendor: BatchVendor, error: unknown): TerminalError | RetryableError {
  const name = error instanceof Error ? error.constructor.name : typeof error;
  if (name === 'APIConnectionTimeoutError') {
    return makeFailure(
      { code: 'provider_timeout', retry: true, scope: 'call', maybeBilled: true },
      facts(vendor, {}),
    );
  }
  return makeFailure(
    { code: 'internal_error', retry: true, scope: 'call', maybeBilled: true },
    // Only the kind of error: its words may quote what was parsed.
    facts(vendor, { detail: name }),
  );
}

function facts(vendor: BatchVendor, more: Partial<FailureFacts>): FailureFacts {
  return {
    provider: vendor.provider,
    httpStatus: null,
    providerCode: null,
    providerRequestId: null,
    usage: null,
    detail: null,
    retryAfterMs: null,
    ...more,
  };
}
