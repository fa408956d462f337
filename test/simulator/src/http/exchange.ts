import type { IncomingMessage, ServerResponse } from 'node:http';
import { noTokens, type BilledTokens } from '../billing/bill.ts';
import { isObject, objectOf, stringOf } from '../json-value.ts';
import type { Vendor } from '../model-catalogue.ts';
import { accountOf, type Simulator } from '../simulator.ts';
import type { ReceivedBody } from './read-body.ts';

/** One request on its way through the simulator. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly dialect: Vendor;
  readonly method: string;
  /** Below the version: `/chat/completions`. */
  readonly path: string;
  /** The variable parts of the path. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
  /** Address of this dialect as the client reaches it, without the version. */
  readonly baseUrl: string;
  readonly requestId: string;
  readonly key: string | null;
  readonly account: string;
  readonly arrivedAtMs: number;
  /** What is journalled of it; null until it was read whole. */
  accepted: { readonly sequence: number; readonly stepId: string | null; readonly bodySha256: string } | null;
  bytesSent: number;
  ended: boolean;
  /** The answer is made, but the connection is cut before it is sent. */
  answerLost: boolean;
}

/** How an exchange ended, for the journal. */
export interface ExchangeEnd {
  readonly status: number | null;
  readonly chargedTokens: number;
  readonly billed: BilledTokens;
  readonly finished: boolean;
  readonly aborted: boolean;
  readonly fault: string | null;
}

export function openExchange(
  simulator: Simulator,
  request: IncomingMessage,
  response: ServerResponse,
  place: Pick<Exchange, 'dialect' | 'path' | 'parameters' | 'query' | 'baseUrl'>,
): Exchange {
  const key = keyOf(request);
  return {
    ...place,
    request,
    response,
    method: request.method ?? 'GET',
    requestId: simulator.nextId(place.dialect === 'openai' ? 'req_' : 'req_01'),
    key,
    account: key === null ? 'none' : accountOf(key),
    arrivedAtMs: simulator.clock.monotonicMs(),
    accepted: null,
    bytesSent: 0,
    ended: false,
    answerLost: false,
  };
}

function keyOf(request: IncomingMessage): string | null {
  const bearer = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const header = request.headers['x-api-key'];
  return bearer ?? (typeof header === 'string' && header !== '' ? header : null);
}

/** Journals the acceptance; to be called once, when the body was read whole. */
export function acceptExchange(
  simulator: Simulator,
  exchange: Exchange,
  body: ReceivedBody,
  parsed: unknown,
): void {
  const fields = objectOf(parsed);
  const header = exchange.request.headers['x-client-request-id'];
  const metadata = isObject(fields['metadata']) ? stringOf(fields['metadata']['millrace_step']) : null;
  const stepId = typeof header === 'string' && header !== '' ? header : metadata;
  const sequence = simulator.journal.accept({
    account: exchange.account,
    dialect: exchange.dialect,
    method: exchange.method,
    path: exchange.path,
    model: stringOf(fields['model']),
    bodySha256: body.sha256,
    bodyBytes: body.bytes,
    stepId,
    stream: fields['stream'] === true,
    batchId: null,
  });
  exchange.accepted = { sequence, stepId, bodySha256: body.sha256 };
}

/** Journals the end; later calls for the same exchange do nothing. */
export function endExchange(simulator: Simulator, exchange: Exchange, end: Partial<ExchangeEnd>): void {
  if (exchange.ended || exchange.accepted === null) return;
  exchange.ended = true;
  const billed = end.billed ?? noTokens();
  simulator.journal.end({
    sequence: exchange.accepted.sequence,
    status: end.status ?? null,
    chargedTokens: end.chargedTokens ?? 0,
    bytesSent: exchange.bytesSent,
    inputTokens: billed.inputTokens,
    cachedInputTokens: billed.cachedInputTokens,
    outputTokens: billed.outputTokens,
    finished: end.finished ?? false,
    aborted: end.aborted ?? false,
    fault: end.fault ?? null,
  });
}

/** The client is gone, or we hung up. */
export function isClosed(exchange: Exchange): boolean {
  return (
    exchange.response.destroyed || exchange.response.socket === null || exchange.response.socket.destroyed
  );
}

/** `job/step#2` → `job/step`: what a client puts behind `#` tells its attempts apart, and faults are counted over all. */
export function withoutAttempt(stepId: string): string {
  return stepId.replace(/#[^#]*$/, '');
}
