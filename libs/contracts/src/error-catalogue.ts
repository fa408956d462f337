/**
 * Every error that a user can see, once. `status` is the HTTP status when the error answers a request; errors that only
 * appear in a job's `error` carry null. `retryable` tells whether sending the same again can help.
 */
export const errorCatalogue = {
  invalid_json: { title: 'The body is not valid JSON', status: 400, retryable: false },
  invalid_header: { title: 'A header has a value that cannot be used', status: 400, retryable: false },
  idempotency_key_missing: { title: 'The Idempotency-Key header is missing', status: 400, retryable: false },
  idempotency_key_invalid: {
    title: 'The Idempotency-Key header is not usable',
    status: 400,
    retryable: false,
  },
  unauthenticated: { title: 'No valid API key was given', status: 401, retryable: false },
  webhook_signature_invalid: {
    title: 'The signature of a webhook is missing, wrong or too old',
    status: 401,
    retryable: false,
  },
  insufficient_scope: { title: 'The API key lacks the scope for this', status: 403, retryable: false },
  not_found: { title: 'There is nothing with this address', status: 404, retryable: false },
  method_not_allowed: { title: 'This address does not know the method', status: 405, retryable: false },
  idempotency_in_progress: {
    title: 'A request with this key is being committed',
    status: 409,
    retryable: true,
  },
  job_not_terminal: { title: 'The job has not ended yet', status: 409, retryable: true },
  job_not_waiting: { title: 'The job does not wait for a decision', status: 409, retryable: false },
  delivery_not_final: { title: 'The delivery is still being tried', status: 409, retryable: true },
  webhook_endpoint_disabled: {
    title: 'The webhook endpoint is disabled or deleted',
    status: 409,
    retryable: false,
  },
  body_too_large: { title: 'The body is larger than allowed', status: 413, retryable: false },
  unsupported_media_type: { title: 'The body is not application/json', status: 415, retryable: false },
  validation_failed: { title: 'The request does not fit the schema', status: 422, retryable: false },
  idempotency_key_reused: { title: 'The key was used with another body', status: 422, retryable: false },
  system_uses_data: { title: 'A system text may use params only, never data', status: 422, retryable: false },
  template_invalid: { title: 'A template cannot be parsed', status: 422, retryable: false },
  plan_too_deep: { title: 'The plan is nested too deeply', status: 422, retryable: false },
  plan_too_large: { title: 'The plan has too many nodes or chunks', status: 422, retryable: false },
  prompt_too_large: { title: 'A prompt or document is larger than allowed', status: 422, retryable: false },
  call_too_large: {
    title: 'One call is larger than a whole minute of the limit',
    status: 422,
    retryable: false,
  },
  unknown_model: { title: 'No such route or model is configured', status: 422, retryable: false },
  output_schema_invalid: { title: 'The output schema cannot be used', status: 422, retryable: false },
  webhook_url_refused: { title: 'The webhook address may not be called', status: 422, retryable: false },
  rate_limited: { title: 'Too many requests', status: 429, retryable: true },
  queue_full: { title: 'Too much work is waiting', status: 429, retryable: true },
  tenant_limit_exceeded: { title: 'The tenant has too many open jobs', status: 429, retryable: true },
  internal_error: { title: 'Something went wrong on our side', status: 500, retryable: true },
  ledger_unavailable: {
    title: 'The ledger cannot be reached; nothing was accepted',
    status: 503,
    retryable: true,
  },
  shutting_down: { title: 'This process is stopping', status: 503, retryable: true },

  provider_refused_request: {
    title: 'The provider refused the request as wrong',
    status: null,
    retryable: false,
  },
  provider_auth: { title: 'The provider refused our credentials', status: null, retryable: false },
  provider_quota: { title: 'The provider account has no quota left', status: null, retryable: false },
  provider_rate_limited: { title: 'The provider limited the rate', status: null, retryable: true },
  provider_unavailable: {
    title: 'The provider failed or could not be reached',
    status: null,
    retryable: true,
  },
  provider_timeout: { title: 'The provider did not answer in time', status: null, retryable: true },
  provider_bad_answer: {
    title: 'The provider answered with something unreadable',
    status: null,
    retryable: true,
  },
  context_length_exceeded: { title: 'The prompt does not fit the model', status: null, retryable: false },
  content_refused: { title: 'The model or its filter refused the content', status: null, retryable: false },
  output_truncated: { title: 'The answer reached max_output_tokens', status: null, retryable: false },
  output_invalid: { title: 'The answer does not fit the output schema', status: null, retryable: false },
  providers_unavailable: {
    title: 'No target of the route can be used at present',
    status: null,
    retryable: true,
  },
  retries_exhausted: { title: 'All attempts failed', status: null, retryable: true },
  cost_cap_exceeded: { title: 'The next call would pass max_cost_usd', status: null, retryable: false },
  deadline_exceeded: {
    title: 'The deadline passed before the work was done',
    status: null,
    retryable: false,
  },
  template_failed: { title: 'A template could not be rendered', status: null, retryable: false },
  plan_failed: { title: 'The plan could not go on', status: null, retryable: false },
  no_branch_succeeded: { title: 'No branch gave a usable answer', status: null, retryable: false },
  worker_crashed: { title: 'The worker died each time it ran this', status: null, retryable: false },
  ambiguous_refused: {
    title: 'A call with unknown outcome was not sent again',
    status: null,
    retryable: false,
  },
} as const satisfies Record<string, { title: string; status: number | null; retryable: boolean }>;

/** A row of the catalogue. */
export type ErrorCode = keyof typeof errorCatalogue;

/** Rows that may answer a request. */
export type HttpErrorCode = {
  [Code in ErrorCode]: (typeof errorCatalogue)[Code]['status'] extends number ? Code : never;
}[ErrorCode];

/** Whether a text names a row of the catalogue. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCatalogue, text);
}
