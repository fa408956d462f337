import type { ProviderCall } from '../provider.ts';

const LONGEST_DETAIL = 300;
/** Any stretch of this many characters that also stands in the prompt counts as an echo of it. */
const ECHO_WINDOW = 12;
const ECHO_STEP = 4;

/**
 * The vendor's own words about a failure, made fit for users and logs: keys removed, cut short, and null when they
 * quote the prompt (vendors and gateways echo the offending input).
 */
export function safeDetail(message: string | null, call: ProviderCall): string | null {
  const detail = promptlessDetail(message);
  return detail === null || quotesPrompt(detail, call) ? null : detail;
}

/** The same for a request that carries no prompt, so that none can be quoted (asking for a batch, uploading a file). */
export function promptlessDetail(message: string | null): string | null {
  if (message === null || message.trim() === '') return null;
  return redactKeys(message).replace(/\s+/g, ' ').trim().slice(0, LONGEST_DETAIL).toWellFormed();
}

/** Replaces what looks like an API key or a bearer token. */
function redactKeys(text: string): string {
  return text
    .replace(/\b(sk|rk|pk|mk)-[A-Za-z0-9_*.-]{4,}/g, '$1-…')
    .replace(/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi, '$1 …');
}

function quotesPrompt(detail: string, call: ProviderCall): boolean {
  const texts = [call.system ?? '', ...call.messages.map((message) => message.content)].map((text) =>
    text.replace(/\s+/g, ' ').trim(),
  );
  // A short prompt has no window of its own: look for the whole of it.
  if (texts.some((text) => text.length >= 4 && text.length < ECHO_WINDOW * 2 && detail.includes(text)))
    return true;
  for (let at = 0; at + ECHO_WINDOW <= detail.length; at += ECHO_STEP) {
    const window = detail.slice(at, at + ECHO_WINDOW);
    if (texts.some((text) => text.includes(window))) return true;
  }
  return false;
}
