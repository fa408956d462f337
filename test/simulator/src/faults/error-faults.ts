import { vendorError, type VendorError } from '../http/vendor-error.ts';
import type { Vendor } from '../model-catalogue.ts';
import { numberParameter, type ErrorFault, type Fault } from './fault-kinds.ts';

/** The vendor's answer for a fault that is an HTTP error. `retry_after` (seconds) and `code` are parameters. */
export function errorOfFault(dialect: Vendor, kind: ErrorFault, fault: Fault, model: string): VendorError {
  const made = dialect === 'openai' ? openaiError(kind, model) : anthropicError(kind, model);
  const seconds = fault.parameters['retry_after'];
  const retryAfterMs =
    seconds === undefined
      ? made.retryAfterMs
      : seconds === 'none'
        ? null
        : numberParameter(fault, 'retry_after', 1) * 1_000;
  return {
    ...made,
    retryAfterMs,
    code: fault.parameters['code'] ?? made.code,
    status: numberParameter(fault, 'status', made.status),
  };
}

const RETRY_SOON_MS = 1_000;

function openaiError(kind: ErrorFault, model: string): VendorError {
  const limited = `Rate limit reached for ${model} in organization org-simulated on`;
  switch (kind) {
    case 'rate_limit':
      return vendorError(
        429,
        'requests',
        `${limited} requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again in 1s.`,
        {
          code: 'rate_limit_exceeded',
          retryAfterMs: RETRY_SOON_MS,
        },
      );
    case 'rate_limit_tokens':
      return vendorError(
        429,
        'tokens',
        `${limited} tokens per min (TPM): Limit 10000, Used 9900, Requested 400. Please try again in 1s.`,
        {
          code: 'rate_limit_exceeded',
          retryAfterMs: RETRY_SOON_MS,
        },
      );
    case 'insufficient_quota':
    case 'spend_limit':
      return vendorError(
        429,
        'insufficient_quota',
        'You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.',
        {
          code: 'insufficient_quota',
        },
      );
    case 'flex_unavailable':
      return vendorError(
        429,
        'resource_unavailable',
        'Resource Unavailable: there is not enough capacity for flex processing right now. You were not charged. Please retry later or use the standard service tier.',
        {
          code: 'resource_unavailable',
        },
      );
    case 'invalid_key':
      return vendorError(
        401,
        'invalid_request_error',
        'Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.',
        {
          code: 'invalid_api_key',
        },
      );
    case 'permission':
      return vendorError(403, 'invalid_request_error', `Project does not have access to model ${model}.`, {
        code: 'model_not_found',
      });
    case 'bad_request':
      return vendorError(400, 'invalid_request_error', "Invalid value: 'nonsense'.", {
        code: 'invalid_value',
        param: 'messages',
      });
    case 'context_length':
      return vendorError(
        400,
        'invalid_request_error',
        'Your input exceeds the context window of this model. Please adjust your input and try again.',
        {
          code: 'context_length_exceeded',
          param: 'input',
        },
      );
    case 'content_policy':
      return vendorError(
        400,
        'invalid_request_error',
        'Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt.',
        {
          code: 'invalid_prompt',
        },
      );
    case 'server_error':
      return vendorError(
        500,
        'server_error',
        'The server had an error while processing your request. Sorry about that!',
      );
    case 'bad_gateway':
      return gatewayError(502, 'Bad gateway');
    case 'unavailable':
    case 'overloaded':
      return vendorError(
        503,
        'service_unavailable_error',
        'The engine is currently overloaded, please try again later.',
        {
          code: 'server_is_overloaded',
        },
      );
    case 'slow_down':
      return vendorError(
        503,
        'service_unavailable_error',
        'Slow Down: a sudden increase in your request rate is impacting service reliability. Please reduce your request rate to its original level, maintain it for at least 15 minutes, and then gradually increase it.',
        {
          code: 'slow_down',
        },
      );
    case 'gateway_timeout':
      return gatewayError(504, 'Gateway time-out');
  }
}

function anthropicError(kind: ErrorFault, model: string): VendorError {
  const limited = (what: string): string =>
    `This request would exceed your organization's rate limit of ${what} (model: ${model}). For details, refer to: https://docs.claude.com/en/api/rate-limits.`;
  switch (kind) {
    case 'rate_limit':
      return vendorError(429, 'rate_limit_error', limited('50 requests per minute'), {
        retryAfterMs: RETRY_SOON_MS,
      });
    case 'rate_limit_tokens':
      return vendorError(429, 'rate_limit_error', limited('50,000 input tokens per minute'), {
        retryAfterMs: RETRY_SOON_MS,
      });
    case 'spend_limit':
      return vendorError(429, 'rate_limit_error', 'You have reached your monthly spend limit.', {
        details: { error_code: 'enforced_spend_limit_reached' },
      });
    case 'insufficient_quota':
      return vendorError(
        402,
        'billing_error',
        'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
      );
    case 'flex_unavailable':
    case 'overloaded':
      return vendorError(529, 'overloaded_error', 'Overloaded');
    case 'invalid_key':
      return vendorError(401, 'authentication_error', 'invalid x-api-key');
    case 'permission':
      return vendorError(
        403,
        'permission_error',
        'Your API key does not have permission to use the specified resource.',
      );
    case 'bad_request':
      return vendorError(400, 'invalid_request_error', 'messages.0.content: Input should be a valid list');
    case 'context_length':
      return vendorError(
        400,
        'invalid_request_error',
        'prompt is too long: 1000001 tokens > 1000000 maximum',
      );
    case 'content_policy':
      return vendorError(400, 'invalid_request_error', 'Output blocked by content filtering policy');
    case 'server_error':
      return vendorError(500, 'api_error', 'Internal server error');
    case 'bad_gateway':
      return gatewayError(502, 'Bad gateway');
    case 'unavailable':
    case 'slow_down':
      return vendorError(503, 'api_error', 'Service temporarily unavailable');
    case 'gateway_timeout':
      return vendorError(504, 'timeout_error', 'Request timed out');
  }
}

/** Gateways in front of the vendors answer in HTML. */
function gatewayError(status: number, title: string): VendorError {
  const html = `<html>\r\n<head><title>${status} ${title}</title></head>\r\n<body>\r\n<center><h1>${status} ${title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n`;
  return vendorError(status, 'gateway', title, { html });
}
