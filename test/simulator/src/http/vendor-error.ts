import type { JsonObject } from '../json-value.ts';
import type { Vendor } from '../model-catalogue.ts';

/** An error answer as a vendor would give it. */
export interface VendorError {
  readonly status: number;
  readonly type: string;
  readonly message: string;
  readonly code: string | null;
  readonly param: string | null;
  /** Told to the client in `retry-after` (and `retry-after-ms`, OpenAI); `null`: no such header. */
  readonly retryAfterMs: number | null;
  /** Anthropic's `error.details`. */
  readonly details: JsonObject | null;
  /** The body of a gateway that knows nothing of the API: HTML instead of JSON. */
  readonly html: string | null;
}

export function vendorError(
  status: number,
  type: string,
  message: string,
  more: Partial<Omit<VendorError, 'status' | 'type' | 'message'>> = {},
): VendorError {
  return {
    status,
    type,
    message,
    code: null,
    param: null,
    retryAfterMs: null,
    details: null,
    html: null,
    ...more,
  };
}

export function isVendorError(value: object): value is VendorError {
  return 'status' in value && 'html' in value;
}

export function errorBody(dialect: Vendor, error: VendorError, requestId: string): string {
  if (error.html !== null) return error.html;
  if (dialect === 'openai') {
    const { message, type, param, code } = error;
    return JSON.stringify({ error: { message, type, param, code } });
  }
  const details = error.details === null ? {} : { details: error.details };
  return JSON.stringify({
    type: 'error',
    error: { type: error.type, message: error.message, ...details },
    request_id: requestId,
  });
}
