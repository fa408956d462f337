import type { Vendor } from '../model-catalogue.ts';
import type { Simulator } from '../simulator.ts';
import type { Exchange } from './exchange.ts';
import { vendorError, type VendorError } from './vendor-error.ts';

/** What is wrong with the key or the version of a request, or null. */
export function keyProblem(simulator: Simulator, exchange: Exchange): VendorError | null {
  const { key, dialect } = exchange;
  if (key === null) return missingKey(dialect);
  const { keys } = simulator.config();
  const known = keys === null ? !key.startsWith('sk-invalid') : keys.includes(key);
  if (!known) return wrongKey(dialect, key);
  if (dialect === 'anthropic' && exchange.request.headers['anthropic-version'] === undefined) {
    return vendorError(400, 'invalid_request_error', 'anthropic-version: header is required');
  }
  return null;
}

function missingKey(dialect: Vendor): VendorError {
  if (dialect === 'anthropic')
    return vendorError(401, 'authentication_error', 'x-api-key header is required');
  const message =
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from https://platform.openai.com/account/api-keys.";
  return vendorError(401, 'invalid_request_error', message);
}

function wrongKey(dialect: Vendor, key: string): VendorError {
  if (dialect === 'anthropic') return vendorError(401, 'authentication_error', 'invalid x-api-key');
  const shown = `${key.slice(0, 6)}${'*'.repeat(8)}${key.slice(-4)}`;
  const message = `Incorrect API key provided: ${shown}. You can find your API key at https://platform.openai.com/account/api-keys.`;
  return vendorError(401, 'invalid_request_error', message, { code: 'invalid_api_key' });
}

export function notJsonError(dialect: Vendor): VendorError {
  const message =
    dialect === 'openai'
      ? "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
      : 'The request body is not valid JSON';
  return vendorError(400, 'invalid_request_error', message);
}

export function tooLargeError(dialect: Vendor, maxBytes: number): VendorError {
  if (dialect === 'anthropic') {
    return vendorError(413, 'request_too_large', 'Request exceeds the maximum size');
  }
  return vendorError(413, 'invalid_request_error', `The request body is larger than ${maxBytes} bytes.`);
}
