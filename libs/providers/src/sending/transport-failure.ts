/** Failures that happen before a byte of the request can have left this machine. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EMFILE',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

const TIMEOUTS = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'ETIMEDOUT',
]);

/**
 * The network failed below HTTP. Made by our own `fetch`, because the SDKs drop the cause of some of these and then a
 * refused connection cannot be told from a lost answer.
 */
export class TransportFailure extends Error {
  /** The system's or undici's code, such as `ECONNRESET`; null when there was none. */
  readonly code: string | null;
  /** False when the request certainly never left. */
  readonly maybeSent: boolean;
  readonly timedOut: boolean;

  constructor(error: unknown, phase: 'request' | 'answer') {
    const code = codeOf(error);
    super(`connection failed${code === null ? '' : ` (${code})`}`);
    this.name = 'TransportFailure';
    this.code = code;
    this.maybeSent = phase === 'answer' || !isBeforeSending(error, code);
    this.timedOut = code !== null && TIMEOUTS.has(code);
  }
}

/** `fetch` whose network failures are {@link TransportFailure}; aborts pass unchanged. */
export function fetchWithFailures(fetchFunction: typeof fetch): typeof fetch {
  return async (input, init) => {
    try {
      return await fetchFunction(input, init);
    } catch (error) {
      if (init?.signal?.aborted) throw error;
      throw new TransportFailure(error, 'request');
    }
  };
}

/** The network's failure in what an SDK threw; null when it is something else. */
export function transportFailureOf(error: unknown): TransportFailure | null {
  if (error instanceof TransportFailure) return error;
  if (error instanceof Error && error.cause instanceof TransportFailure) return error.cause;
  return null;
}

function isBeforeSending(error: unknown, code: string | null): boolean {
  if (code === null) return false;
  if (NOT_SENT.has(code)) return true;
  return chain(error).some((each) => 'syscall' in each && each.syscall === 'connect');
}

function codeOf(error: unknown): string | null {
  for (const each of chain(error)) {
    if ('code' in each && typeof each.code === 'string') return each.code;
  }
  return null;
}

/** The error, its causes, and the members of an `AggregateError` (Node tries IPv6 and IPv4 at once). */
function chain(error: unknown): Error[] {
  const found: Error[] = [];
  const open: unknown[] = [error];
  while (open.length > 0 && found.length < 16) {
    const next = open.shift();
    if (!(next instanceof Error)) continue;
    found.push(next);
    open.push(next.cause);
    if (next instanceof AggregateError) open.push(...(next.errors as unknown[]));
  }
  return found;
}
