import { ProblemError } from '@millrace/contracts';

const MAX_LENGTH = 255;

/**
 * The key of an `Idempotency-Key` header: bare, or quoted as a structured-field string (RFC 9651, as the IETF draft asks), so that
 * `abc` and `"abc"` are one key. 1–255 printable ASCII characters. Null when the header is missing and not required.
 */
export function readIdempotencyKey(header: string | undefined, required: boolean): string | null {
  if (header === undefined || header === '') {
    if (!required) return null;
    throw new ProblemError(
      'idempotency_key_missing',
      'Send an Idempotency-Key header: any text of 1 to 255 characters that is the same when you send this again.',
    );
  }
  const key = header.startsWith('"') ? unquote(header) : header;
  if (key === null || key.length === 0 || key.length > MAX_LENGTH || !/^[\x20-\x7e]+$/.test(key)) {
    throw new ProblemError(
      'idempotency_key_invalid',
      `An Idempotency-Key is 1 to ${MAX_LENGTH} printable ASCII characters, bare or in double quotes.`,
    );
  }
  return key;
}

/** In an sf-string only `"` and `\` are escaped, each by a backslash. */
function unquote(text: string): string | null {
  const inner = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1];
  return inner === undefined ? null : inner.replace(/\\(["\\])/g, '$1');
}
