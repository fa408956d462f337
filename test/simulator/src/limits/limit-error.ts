import { vendorError, type VendorError } from '../http/vendor-error.ts';
import type { ModelCard } from '../model-catalogue.ts';
import type { LimitBreach } from './limit-group.ts';
import { goDuration } from './limit-headers.ts';

/** The vendor's 429 for a limit that a call would break. */
export function limitError(card: ModelCard, account: string, breach: LimitBreach): VendorError {
  return card.vendor === 'openai' ? openaiError(card, account, breach) : anthropicError(card, breach);
}

function openaiError(card: ModelCard, account: string, breach: LimitBreach): VendorError {
  const kind = breach.limit === 'requests' || breach.limit === 'concurrency' ? 'requests' : 'tokens';
  const unit = kind === 'requests' ? 'requests per min (RPM)' : 'tokens per min (TPM)';
  const place = `${card.id} in organization org-${account.slice(5)} on ${unit}`;
  if (!Number.isFinite(breach.waitMs)) {
    const message = `Request too large for ${place}: Limit ${breach.allowed}, Requested ${breach.requested}. The input or output tokens must be reduced in order to run successfully. Visit https://platform.openai.com/account/rate-limits to learn more.`;
    return vendorError(429, kind, message, { code: 'rate_limit_exceeded' });
  }
  const message = `Rate limit reached for ${place}: Limit ${breach.allowed}, Used ${breach.used}, Requested ${breach.requested}. Please try again in ${goDuration(breach.waitMs)}. Visit https://platform.openai.com/account/rate-limits to learn more.`;
  return vendorError(429, kind, message, { code: 'rate_limit_exceeded', retryAfterMs: breach.waitMs });
}

const ANTHROPIC_UNITS: Readonly<Record<LimitBreach['limit'], string>> = {
  requests: 'requests per minute',
  tokens: 'tokens per minute',
  inputTokens: 'input tokens per minute',
  outputTokens: 'output tokens per minute',
  concurrency: 'concurrent connections',
};

function anthropicError(card: ModelCard, breach: LimitBreach): VendorError {
  const limit = `${breach.allowed.toLocaleString('en-US')} ${ANTHROPIC_UNITS[breach.limit]}`;
  const message =
    breach.limit === 'concurrency'
      ? `Number of concurrent connections has exceeded your rate limit. Please try again later or contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase.`
      : `This request would exceed your organization's rate limit of ${limit} (model: ${card.id}). For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later.`;
  const retryAfterMs = Number.isFinite(breach.waitMs) ? breach.waitMs : null;
  return vendorError(429, 'rate_limit_error', message, { retryAfterMs });
}
