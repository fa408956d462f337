import Anthropic from '@anthropic-ai/sdk';
import type { CallFailure, ErrorCode } from '@millrace/contracts';
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

/** `error.details.error_code`, the vendor's own advice for branching; an unknown one is judged by the type. */
const verdictsByErrorCode: Record<string, Verdict> = {
  // Both come with 429, and waiting does not help: the month must end or a person must act.
  enforced_spend_limit_reached: terminal('provider_quota', 'account'),
  contract_spend_limit_reached: terminal('provider_quota', 'account'),
  linked_organization_spend_limit_reached: terminal('provider_quota', 'account'),
  linked_organization_billing_unavailable: terminal('provider_quota', 'account'),
  organization_on_hold: terminal('provider_auth', 'account'),
  cmek_key_disabled: terminal('provider_auth', 'account'),
  cmek_key_network_blocked: terminal('provider_auth', 'account'),
  ramp_limit_exceeded: retryable('provider_rate_limited', 'target'),
};

const verdictsByType: Record<string, Verdict> = {
  authentication_error: terminal('provider_auth', 'account'),
  billing_error: terminal('provider_quota', 'account'),
  // Also "this key may not use this model": the target, not the account.
  permission_error: terminal('provider_auth', 'target'),
  not_found_error: terminal('provider_refused_request', 'target'),
  request_too_large: terminal('context_length_exceeded', 'call'),
  invalid_request_error: terminal('provider_refused_request', 'call'),
  conflict_error: retryable('provider_unavailable', 'call'),
  rate_limit_error: retryable('provider_rate_limited', 'target'),
  api_error: retryable('provider_unavailable', 'call'),
  timeout_error: retryable('provider_timeout', 'call', true),
  overloaded_error: retryable('provider_unavailable', 'target'),
};

const typesByStatus: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** Translates an error of the Anthropic SDK; null when it is none. */
export function explainAnthropicError(error: unknown): VendorFailure | null {
  if (!(error instanceof Anthropic.APIError) || error instanceof Anthropic.APIConnectionError) return null;
  const status: unknown = error.status;
  const httpStatus = typeof status === 'number' ? status : null;
  const verdict = judgeAnthropicError(httpStatus, error.type, error.errorCode);
  return {
    // An error event inside an answer that had begun: something may have been billed by then.
    verdict: httpStatus === null ? { ...verdict, maybeBilled: true } : verdict,
    httpStatus,
    providerCode: error.errorCode ?? error.type,
    message: error.apiMessage,
    headers: httpStatus === null ? null : ((error.headers as Headers | undefined) ?? null),
  };
}

/** What an error means, by the vendor's own code, then by its type, then by its status. */
export function judgeAnthropicError(
  status: number | null,
  type: string | null,
  errorCode: string | null,
): Verdict {
  const byCode = errorCode === null ? undefined : lookUp(verdictsByErrorCode, errorCode);
  if (byCode) return byCode;
  const byType = type === null ? undefined : lookUp(verdictsByType, type);
  if (byType) return byType;
  const typeOfStatus = status === null ? undefined : typesByStatus[status];
  const byStatus = typeOfStatus === undefined ? undefined : verdictsByType[typeOfStatus];
  if (byStatus) return byStatus;
  if (status === null || status >= 500) return retryable('provider_unavailable', 'call', true);
  return status >= 400
    ? terminal('provider_refused_request', 'call')
    : retryable('provider_bad_answer', 'call');
}

function lookUp(table: Record<string, Verdict>, key: string): Verdict | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
