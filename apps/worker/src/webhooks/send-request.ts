import http from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { isPublicAddress } from '@millrace/contracts';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { NotPublicError, publicOnly } from './public-lookup.ts';
import type { Lookup } from './public-lookup.ts';
import { parseRetryAfterMs } from './retry-after.ts';

export interface OutgoingRequest {
  url: URL;
  headers: Record<string, string>;
  body: string;
  /** Whether to connect to public addresses only. */
  publicOnly: boolean;
  /** For everything, from the name resolution to the end of the answer. */
  timeoutMs: number;
  lookup: Lookup;
  now: () => number;
}

/** What came back. `error` is for the receiver's owner to read and tells nothing about our own network. */
export interface WebhookAnswer {
  /** Null when no answer came. */
  httpStatus: number | null;
  error: string | null;
  retryAfterMs: number | null;
  /** The receiver asked not to be tried again with this message (`webhook-delivery: abort-message`). */
  abort: boolean;
}

/** An answer's body is of no use; so much is read, to let the receiver finish. */
const MAX_ANSWER_BYTES = 8_192;

const NOT_PUBLIC = 'the host does not stand for public addresses only';

/**
 * POSTs over a connection of its own. With `publicOnly` the name is resolved once, every address it stands for must be
 * public, and one of those is connected to; a URL that is an address itself must be public too. Redirects are not followed.
 * Never throws.
 */
export async function sendRequest(request: OutgoingRequest): Promise<WebhookAnswer> {
  const host = request.url.hostname.replace(/^\[|\]$/g, '');
  if (request.publicOnly && isIP(host) !== 0 && !isPublicAddress(host)) return notSent(NOT_PUBLIC);

  return new Promise((resolve) => {
    let answered: WebhookAnswer | null = null;
    const signal = AbortSignal.timeout(request.timeoutMs);
    const outgoing = open(request.url, {
      method: 'POST',
      headers: { ...request.headers, 'content-length': Buffer.byteLength(request.body) },
      agent: agentFor(request),
      lookup: request.publicOnly ? publicOnly(request.lookup) : request.lookup,
      signal,
    });
    outgoing.on('response', (incoming) => {
      answered = readAnswer(incoming, request.now());
      drain(incoming);
      // What happens to the body does not matter once the status is known.
      incoming.on('close', () => resolve(answered ?? failure('the connection was closed')));
    });
    outgoing.on('error', (error) => {
      const reason = signal.aborted ? `no answer within ${request.timeoutMs} ms` : describe(error);
      resolve(answered ?? failure(reason));
    });
    // After an upgrade, for example, neither of the events above comes.
    outgoing.on('close', () => resolve(answered ?? failure('the connection was closed without an answer')));
    outgoing.end(request.body);
  });
}

function open(url: URL, options: RequestOptions): http.ClientRequest {
  return url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
}

/** One agent per try: nothing is kept alive, so no connection outlives the check of its address. */
function agentFor({ url, publicOnly }: OutgoingRequest): http.Agent {
  const options = { keepAlive: false };
  if (url.protocol === 'https:')
    return publicOnly ? new RequestFilteringHttpsAgent(options) : new https.Agent(options);
  return publicOnly ? new RequestFilteringHttpAgent(options) : new http.Agent(options);
}

function readAnswer(incoming: IncomingMessage, now: number): WebhookAnswer {
  const httpStatus = incoming.statusCode ?? 0;
  const abort = incoming.headers['webhook-delivery'] === 'abort-message';
  return {
    httpStatus,
    error: remark(httpStatus, abort),
    retryAfterMs: parseRetryAfterMs(incoming.headers['retry-after'], now),
    abort,
  };
}

function remark(httpStatus: number, abort: boolean): string | null {
  if (httpStatus >= 300 && httpStatus < 400) return 'redirects are not followed';
  return abort && httpStatus >= 400 ? 'the receiver asked for no further try' : null;
}

function drain(incoming: IncomingMessage): void {
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) incoming.destroy();
  });
  incoming.on('error', () => {});
}

/** Codes of sockets, DNS and TLS say enough; messages may name our resolver or an internal address. */
function describe(error: Error): string {
  if (error instanceof NotPublicError) return `not sent: ${NOT_PUBLIC}`;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return `the connection failed: ${code}`;
}

/** The answer of a try that was not made. */
export function notSent(reason: string): WebhookAnswer {
  return failure(`not sent: ${reason}`);
}

function failure(error: string): WebhookAnswer {
  return { httpStatus: null, error, retryAfterMs: null, abort: false };
}
