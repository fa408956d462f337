import type { OutgoingHttpHeaders } from 'node:http';
import type { Simulator } from '../simulator.ts';
import { endExchange, isClosed, type Exchange, type ExchangeEnd } from './exchange.ts';
import { errorBody, type VendorError } from './vendor-error.ts';

/** Writes a whole body. The end is journalled first, so that a kill in between forgets nothing answered. */
export function sendWhole(
  simulator: Simulator,
  exchange: Exchange,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
  end: Partial<ExchangeEnd>,
): void {
  if (isClosed(exchange)) {
    endExchange(simulator, exchange, { ...end, status: null, finished: false, aborted: true });
    return;
  }
  if (exchange.answerLost) {
    endExchange(simulator, exchange, { ...end, status: null, finished: false, fault: 'lost_response' });
    exchange.request.socket.destroy();
    return;
  }
  const bytes = Buffer.byteLength(body);
  exchange.bytesSent += bytes;
  exchange.response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': bytes,
    ...vendorHeaders(simulator, exchange),
    ...headers,
  });
  endExchange(simulator, exchange, { status, finished: true, ...end });
  exchange.response.end(body);
}

export function sendJson(
  simulator: Simulator,
  exchange: Exchange,
  status: number,
  body: unknown,
  end: Partial<ExchangeEnd> = {},
): void {
  sendWhole(simulator, exchange, status, {}, JSON.stringify(body), end);
}

export function sendError(
  simulator: Simulator,
  exchange: Exchange,
  error: VendorError,
  headers: OutgoingHttpHeaders = {},
  end: Partial<ExchangeEnd> = {},
): void {
  const all: OutgoingHttpHeaders = { ...headers };
  if (error.retryAfterMs !== null) {
    all['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)));
    if (exchange.dialect === 'openai') all['retry-after-ms'] = String(Math.ceil(error.retryAfterMs));
  }
  if (error.html !== null) all['content-type'] = 'text/html; charset=UTF-8';
  sendWhole(
    simulator,
    exchange,
    error.status,
    all,
    errorBody(exchange.dialect, error, exchange.requestId),
    end,
  );
}

export function vendorHeaders(simulator: Simulator, exchange: Exchange): OutgoingHttpHeaders {
  if (exchange.dialect === 'anthropic') {
    return {
      'request-id': exchange.requestId,
      'anthropic-workspace-id': `wrkspc_${exchange.account.slice(5)}`,
    };
  }
  return {
    'x-request-id': exchange.requestId,
    'openai-organization': `org-${exchange.account.slice(5)}`,
    'openai-processing-ms': String(Math.round(simulator.clock.monotonicMs() - exchange.arrivedAtMs)),
    'openai-version': '2020-10-01',
  };
}
