import type { OutgoingHttpHeaders } from 'node:http';
import { errorOfFault } from '../faults/error-faults.ts';
import { isErrorFault, numberParameter, type Fault } from '../faults/fault-kinds.ts';
import { acceptExchange, endExchange, withoutAttempt, type Exchange } from '../http/exchange.ts';
import { keyProblem, notJsonError, tooLargeError } from '../http/key-check.ts';
import { readBody } from '../http/read-body.ts';
import { sendError } from '../http/send-answer.ts';
import { isVendorError, type VendorError } from '../http/vendor-error.ts';
import { waitClosed } from '../http/wait-open.ts';
import { isObject, parseJson, type JsonObject } from '../json-value.ts';
import type { LimitCost } from '../limits/account-limits.ts';
import { limitError } from '../limits/limit-error.ts';
import type { LimitGroup } from '../limits/limit-group.ts';
import { limitHeaders } from '../limits/limit-headers.ts';
import type { Simulator } from '../simulator.ts';
import { composeAnswer, type Answer } from './compose-answer.ts';
import type { AnswerWriter } from './answer-writer.ts';
import { deliverAnswer } from './deliver-answer.ts';
import type { ModelCall } from './model-call.ts';

/** An endpoint that runs a model: how it reads a request, and how it writes an answer. */
export interface CallEndpoint {
  readonly maxBodyBytes: number;
  read(body: JsonObject, simulator: Simulator, exchange: Exchange): ModelCall | VendorError;
  write(call: ModelCall, answer: Answer, simulator: Simulator): AnswerWriter;
  /** Runs a call that nobody waits for; absent where the endpoint has no such thing. */
  runBackground?(
    simulator: Simulator,
    exchange: Exchange,
    call: ModelCall,
    answer: Answer,
    admission: Admission,
  ): Promise<void>;
}

/** A call that was let in: its counters and what it was charged. */
export interface Admission {
  readonly group: LimitGroup;
  readonly chargedTokens: number;
  readonly headers: () => OutgoingHttpHeaders;
}

/** One model call from its first byte to its last. */
export async function serveCall(
  simulator: Simulator,
  exchange: Exchange,
  endpoint: CallEndpoint,
): Promise<void> {
  const received = await readBody(exchange.request, endpoint.maxBodyBytes);
  if (received === null) return;
  if (received === 'too_large') {
    sendError(simulator, exchange, tooLargeError(exchange.dialect, endpoint.maxBodyBytes));
    return;
  }
  const parsed = parseJson(received.text);
  acceptExchange(simulator, exchange, received, parsed);
  const problem =
    keyProblem(simulator, exchange) ?? (isObject(parsed) ? null : notJsonError(exchange.dialect));
  const call = problem ?? endpoint.read(parsed as JsonObject, simulator, exchange);
  if (isVendorError(call)) {
    sendError(simulator, exchange, call);
    return;
  }
  await runCall(simulator, exchange, endpoint, call);
}

async function runCall(
  simulator: Simulator,
  exchange: Exchange,
  endpoint: CallEndpoint,
  call: ModelCall,
): Promise<void> {
  const cached = simulator.config().promptCache
    ? simulator.prefixes.look(exchange.account, call)
    : { cachedTokens: 0, cacheWriteTokens: 0 };
  const cost = costOf(call, cached.cachedTokens);
  const group = simulator.limits.group(exchange.account, call.card);
  const limits = simulator.limits.limitsOf(exchange.account, call.card);
  const headers = (): OutgoingHttpHeaders => limitHeaders(exchange.dialect, group, limits, simulator.clock);
  const step = countKeyOf(exchange);
  const atMs = simulator.clock.monotonicMs();
  group.arrive(atMs, step, cost.tokens + cost.inputTokens);
  const breach = group.check(atMs, cost, limits);
  if (breach !== null) {
    group.refuse(atMs);
    refuse(simulator, exchange, group, limitError(call.card, exchange.account, breach), headers(), {});
    return;
  }
  const fault = chooseFault(simulator, exchange, call, step);
  // OpenAI counts failed calls toward the limits, Anthropic does not.
  const failed = fault !== null && isErrorFault(fault.kind);
  const charged = exchange.dialect === 'openai' || !failed;
  if (charged) group.charge(atMs, cost);
  const chargedTokens = charged ? cost.tokens + cost.inputTokens : 0;
  if (fault !== null && isErrorFault(fault.kind)) {
    const error = errorOfFault(exchange.dialect, fault.kind, fault, call.model);
    if (error.status === 429) group.noteRefusal();
    refuse(simulator, exchange, group, error, headers(), { chargedTokens, fault: fault.kind });
    return;
  }
  group.enter();
  try {
    await answer(simulator, exchange, endpoint, call, fault, { group, chargedTokens, headers }, cached);
  } finally {
    group.leave();
  }
}

async function answer(
  simulator: Simulator,
  exchange: Exchange,
  endpoint: CallEndpoint,
  call: ModelCall,
  fault: Fault | null,
  admission: Admission,
  cached: { readonly cachedTokens: number; readonly cacheWriteTokens: number },
): Promise<void> {
  if (fault?.kind === 'reset') {
    endExchange(simulator, exchange, { chargedTokens: admission.chargedTokens, fault: fault.kind });
    exchange.request.socket.destroy();
    return;
  }
  if (fault?.kind === 'hang') {
    await waitClosed(exchange);
    endExchange(simulator, exchange, {
      chargedTokens: admission.chargedTokens,
      aborted: true,
      fault: fault.kind,
    });
    return;
  }
  const composed = composeAnswer(call, fault, {
    counter: simulator.counter,
    reasoningTokens: simulator.config().reasoningTokens,
    ...cached,
  });
  if (endpoint.runBackground !== undefined && call.body['background'] === true && !call.stream) {
    await endpoint.runBackground(simulator, exchange, call, composed, admission);
    return;
  }
  const writer = endpoint.write(call, composed, simulator);
  await deliverAnswer(simulator, exchange, { call, answer: composed, writer, fault, admission });
}

/** OpenAI charges the larger of what may be answered and an estimate by characters; Anthropic uncached input. */
function costOf(call: ModelCall, cachedTokens: number): LimitCost {
  if (call.card.vendor === 'anthropic') {
    const cached = call.markers.cachedTokens ?? cachedTokens;
    return { tokens: 0, inputTokens: Math.max(0, call.inputTokens - cached) };
  }
  return {
    tokens: Math.max(call.maxOutputTokens ?? 0, Math.ceil(call.promptText.length / 4)),
    inputTokens: 0,
  };
}

/** The client's name for the step, else the hash of the body. */
function countKeyOf(exchange: Exchange): string {
  const { stepId, bodySha256 } = exchange.accepted ?? { stepId: null, bodySha256: '' };
  return stepId === null ? bodySha256 : withoutAttempt(stepId);
}

function chooseFault(
  simulator: Simulator,
  exchange: Exchange,
  call: ModelCall,
  countBy: string,
): Fault | null {
  return simulator.faults.choose({
    dialect: exchange.dialect,
    path: exchange.path,
    method: exchange.method,
    model: call.model,
    account: exchange.account,
    promptText: call.promptText,
    markers: call.markers.faults,
    countBy,
  });
}

function refuse(
  simulator: Simulator,
  exchange: Exchange,
  group: LimitGroup,
  error: VendorError,
  headers: OutgoingHttpHeaders,
  end: { readonly chargedTokens?: number; readonly fault?: string },
): void {
  if (error.retryAfterMs !== null) {
    group.tellRetryAfter(simulator.clock.monotonicMs(), error.retryAfterMs, countKeyOf(exchange));
  }
  sendError(simulator, exchange, error, headers, end);
}

/** Milliseconds to the first token and tokens per second of one call: marker, then header, then configuration. */
export function paceOf(
  simulator: Simulator,
  exchange: Exchange,
  call: ModelCall,
  fault: Fault | null,
): { readonly firstTokenMs: number; readonly tokensPerSecond: number } {
  const config = simulator.config();
  const header = (name: string): number | null => {
    const value = exchange.request.headers[name];
    return typeof value === 'string' && value !== '' && Number.isFinite(Number(value)) ? Number(value) : null;
  };
  const jitter = config.latencyJitterMs > 0 ? simulator.random() * config.latencyJitterMs : 0;
  const latency = call.markers.latencyMs ?? header('x-simulator-latency-ms') ?? config.latencyMs + jitter;
  const slow = fault?.kind === 'slow_first_byte' ? numberParameter(fault, 'ms', 5_000) : 0;
  return {
    firstTokenMs: latency + slow,
    tokensPerSecond:
      call.markers.tokensPerSecond ?? header('x-simulator-tokens-per-second') ?? config.tokensPerSecond,
  };
}
