import type { CallFailure, ErrorCode } from '@millrace/contracts';
import OpenAI from 'openai';
import type { Verdict } from '../failures/failure.ts';
import type { VendorFailure } from '../sending/send-call.ts';

const terminal = (code: ErrorCode, scope: CallFailure['scope']): Verdict => ({
  code,
  retry: false,
  scope,
  maybeBilled: false,
});
const retryable = (code: ErrorCode, scope: CallFailure['scope'], maybeBilled = false): Verdict => ({
  code,
  retry: true,
  scope,
  maybeBilled,
});

/**
 * Codes that say more than the status they come with. OpenAI publishes no complete list: these are from its error guide,
 * the types of its SDK (`ResponseError.code`) and the flex guide; an unknown code is judged by its status.
 */
const verdictsByCode: Record<string, Verdict> = {
  insufficient_quota: terminal('provider_quota', 'account'),
  billing_hard_limit_reached: terminal('provider_quota', 'account'),
  billing_not_active: terminal('provider_quota', 'account'),
  account_deactivated: terminal('provider_auth', 'account'),
  invalid_api_key: terminal('provider_auth', 'account'),
  context_length_exceeded: terminal('context_length_exceeded', 'call'),
  string_above_max_length: terminal('context_length_exceeded', 'call'),
  content_filter: terminal('content_refused', 'call'),
  content_policy_violation: terminal('content_refused', 'call'),
  image_content_policy_violation: terminal('content_refused', 'call'),
  invalid_prompt: terminal('content_refused', 'call'),
  bio_policy: terminal('content_refused', 'call'),
  misalignment_policy_violation: terminal('content_refused', 'call'),
  data_residency_mismatch: terminal('provider_refused_request', 'target'),
  model_not_found: terminal('provider_refused_request', 'target'),
  rate_limit_exceeded: retryable('provider_rate_limited', 'target'),
  // Flex processing has no room; OpenAI does not charge for it.
  resource_unavailable: retryable('provider_unavailable', 'target'),
  slow_down: retryable('provider_rate_limited', 'target'),
  server_error: retryable('provider_unavailable', 'call'),
  vector_store_timeout: retryable('provider_unavailable', 'call'),
};

/** By status, where no code decided. A gateway's 502 or 504 and a 408 may hide work that was done. */
function verdictByStatus(status: number): Verdict {
  switch (status) {
    case 401:
      return terminal('provider_auth', 'account');
    case 402:
      return terminal('provider_quota', 'account');
    case 403:
      // Also "this project may not use this model": the target, not the account.
      return terminal('provider_auth', 'target');
    case 404:
      return terminal('provider_refused_request', 'target');
    case 408:
      return retryable('provider_timeout', 'call', true);
    case 409:
      return retryable('provider_unavailable', 'call');
    case 413:
      return terminal('context_length_exceeded', 'call');
    case 429:
      return retryable('provider_rate_limited', 'target');
    case 500:
      return retryable('provider_unavailable', 'call');
    case 502:
      return retryable('provider_unavailable', 'target', true);
    case 503:
      // Overloaded; "Slow Down" after a steep ramp has a code by now.
      return retryable('provider_unavailable', 'target');
    case 504:
      return retryable('provider_timeout', 'call', true);
    default:
      if (status >= 500) return retryable('provider_unavailable', 'call', true);
      if (status >= 400) return terminal('provider_refused_request', 'call');
      return retryable('provider_bad_answer', 'call');
  }
}

/** What a code means inside an answer that had begun with status 200: something may have been billed by then. */
export function verdictInsideStream(code: string | null): Verdict {
  const known = code !== null && Object.hasOwn(verdictsByCode, code) ? verdictsByCode[code] : undefined;
  if (known) return { ...known, maybeBilled: true };
  return retryable('provider_unavailable', 'call', true);
}

/** What an error answer means, by its code where that is known and by its status else. */
export function judgeOpenAIError(status: number, code: string | null): Verdict {
  const byCode = code !== null && Object.hasOwn(verdictsByCode, code) ? verdictsByCode[code] : undefined;
  return byCode ?? verdictByStatus(status);
}

/** What we read of the SDK's error class, whose own type parameters are `any` after `instanceof`. */
interface OpenAIErrorFields {
  status: unknown;
  code: unknown;
  type: unknown;
  error: unknown;
  headers: Headers | undefined;
}

/** Translates an error of the openai package (also used for servers that speak its dialect); null when it is none. */
export function explainOpenAIError(error: unknown): VendorFailure | null {
  if (!(error instanceof OpenAI.APIError) || error instanceof OpenAI.APIConnectionError) return null;
  const fields: OpenAIErrorFields = error;
  const { status } = fields;
  const providerCode = codeOfWords(fields) ?? codeOf(fields);
  if (typeof status !== 'number') {
    return {
      verdict: verdictInsideStream(providerCode),
      httpStatus: null,
      providerCode,
      message: messageOf(fields),
      headers: null,
    };
  }
  return {
    verdict: judgeOpenAIError(status, providerCode),
    httpStatus: status,
    providerCode,
    message: messageOf(fields),
    headers: fields.headers ?? null,
  };
}

/** The code, or the type where there is none (some servers send numbers as codes: they only repeat the status). */
function codeOf(error: OpenAIErrorFields): string | null {
  if (typeof error.code === 'string' && error.code !== '') return error.code;
  return typeof error.type === 'string' && error.type !== '' ? error.type : null;
}

/**
 * Two refusals are documented by their words alone, without a code to go by. Flex without room, `429 Resource Unavailable`,
 * must not be taken for a rate limit: it says nothing of ours, and the same call may go on at the standard tier at once.
 * `503 - Slow Down`, after a steep ramp, must not be taken for an overload: it wants less of us for 15 minutes.
 */
function codeOfWords(error: OpenAIErrorFields): string | null {
  const code = codeOf(error);
  if (code !== null && Object.hasOwn(verdictsByCode, code)) return null;
  const message = messageOf(error) ?? '';
  if (error.status === 429 && /^resource unavailable\b/i.test(message)) return 'resource_unavailable';
  if (error.status === 503 && /^slow down\b/i.test(message)) return 'slow_down';
  return null;
}

/** The body's message; the SDK's own `message` would bring the whole body when there is none. */
function messageOf(error: OpenAIErrorFields): string | null {
  const body = error.error;
  if (typeof body !== 'object' || body === null || !('message' in body)) return null;
  return typeof body.message === 'string' ? body.message : null;
}
