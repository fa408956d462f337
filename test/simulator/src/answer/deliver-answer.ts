import { numberParameter, type Fault } from '../faults/fault-kinds.ts';
import { noTokens, type BilledTokens, type PriceTier } from '../billing/bill.ts';
import { endExchange, isClosed, type Exchange, type ExchangeEnd } from '../http/exchange.ts';
import { sendWhole, vendorHeaders } from '../http/send-answer.ts';
import { waitOpen } from '../http/wait-open.ts';
import type { Simulator } from '../simulator.ts';
import type { AnswerWriter } from './answer-writer.ts';
import type { Answer } from './compose-answer.ts';
import type { ModelCall } from './model-call.ts';
import { paceOf, type Admission } from './serve-call.ts';

interface Delivery {
  readonly call: ModelCall;
  readonly answer: Answer;
  readonly writer: AnswerWriter;
  readonly fault: Fault | null;
  readonly admission: Admission;
}

/** Brings an answer to the client at the pace of its tokens, whole or as a stream, and settles bill and journal. */
export async function deliverAnswer(
  simulator: Simulator,
  exchange: Exchange,
  delivery: Delivery,
): Promise<void> {
  const pace = paceOf(simulator, exchange, delivery.call, delivery.fault);
  const there = await waitOpen(exchange, pace.firstTokenMs);
  if (!there) {
    settle(simulator, exchange, delivery, 0, { finished: false, aborted: true });
    return;
  }
  if (delivery.call.stream) await streamAnswer(simulator, exchange, delivery, pace.tokensPerSecond);
  else await sendAnswer(simulator, exchange, delivery, pace.tokensPerSecond);
}

async function sendAnswer(
  simulator: Simulator,
  exchange: Exchange,
  delivery: Delivery,
  tokensPerSecond: number,
): Promise<void> {
  const { answer, writer, fault, admission } = delivery;
  const total = answer.billed.outputTokens;
  const startedAtMs = simulator.clock.monotonicMs();
  if (!(await waitOpen(exchange, tokensPerSecond > 0 ? (total / tokensPerSecond) * 1_000 : 0))) {
    const produced = Math.floor(((simulator.clock.monotonicMs() - startedAtMs) / 1_000) * tokensPerSecond);
    admission.group.produce(simulator.clock.monotonicMs(), Math.min(total, produced));
    settle(simulator, exchange, delivery, Math.min(total, produced), { finished: false, aborted: true });
    return;
  }
  admission.group.produce(simulator.clock.monotonicMs(), total);
  const body = JSON.stringify(writer.whole());
  if (fault?.kind === 'truncate' || fault?.kind === 'stream_error') {
    settle(simulator, exchange, delivery, total, { status: 200, finished: false });
    cutBody(simulator, exchange, body, admission, fault);
    return;
  }
  const sent = fault?.kind === 'garbage' ? `<!doctype html>${body.slice(1, 40)}` : body;
  const end = settlement(simulator, exchange, delivery, total, { finished: fault?.kind !== 'garbage' });
  sendWhole(simulator, exchange, 200, admission.headers(), sent, end);
}

function cutBody(
  simulator: Simulator,
  exchange: Exchange,
  body: string,
  admission: Admission,
  fault: Fault,
): void {
  const { response } = exchange;
  const half = body.slice(0, Math.ceil(body.length / 2));
  response.writeHead(200, {
    'content-type': 'application/json',
    ...vendorHeaders(simulator, exchange),
    ...admission.headers(),
  });
  exchange.bytesSent += Buffer.byteLength(half);
  response.write(half, () => {
    if (fault.parameters['end'] === 'clean') response.end();
    else exchange.request.socket.destroy();
  });
}

/** States: opening → tokens at their pace → closing, or cut by the client or a fault at any token. */
async function streamAnswer(
  simulator: Simulator,
  exchange: Exchange,
  delivery: Delivery,
  tokensPerSecond: number,
): Promise<void> {
  const { answer, writer, fault, admission } = delivery;
  const { response } = exchange;
  const reasoning = answer.billed.reasoningTokens;
  const cutAfter = cutPoint(fault, answer.tokens.length);
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    ...vendorHeaders(simulator, exchange),
    ...admission.headers(),
  });
  response.socket?.setNoDelay(true);
  let pending = writer.opening();
  let written = 0;
  const startedAtMs = simulator.clock.monotonicMs();
  const end = cutAfter ?? answer.tokens.length;
  while (written < end) {
    const elapsedMs = simulator.clock.monotonicMs() - startedAtMs;
    const due =
      tokensPerSecond > 0 ? Math.min(end, Math.floor((elapsedMs / 1_000) * tokensPerSecond) + 1) : end;
    const from = written;
    for (; written < due; written += 1) {
      const text = answer.stamped ? `${stampOf()} ` : (answer.tokens[written] ?? '');
      pending += writer.token(text, written);
    }
    if (written > from) admission.group.produce(simulator.clock.monotonicMs(), written - from);
    if (written === end && cutAfter === null) break;
    write(exchange, pending);
    pending = '';
    const nextMs = tokensPerSecond > 0 ? (written / tokensPerSecond) * 1_000 - elapsedMs : 0;
    if (!(await waitOpen(exchange, nextMs))) {
      settle(simulator, exchange, delivery, written + reasoning, {
        status: 200,
        finished: false,
        aborted: true,
      });
      return;
    }
  }
  if (fault !== null && cutAfter !== null) {
    settle(simulator, exchange, delivery, written + reasoning, { status: 200, finished: false });
    breakStream(exchange, pending, writer, fault);
    return;
  }
  if (isClosed(exchange)) {
    settle(simulator, exchange, delivery, written + reasoning, {
      status: 200,
      finished: false,
      aborted: true,
    });
    return;
  }
  pending += writer.closing();
  exchange.bytesSent += Buffer.byteLength(pending);
  settle(simulator, exchange, delivery, written + reasoning, { status: 200, finished: true });
  response.end(pending);
}

/** Wall clock in milliseconds with microseconds: what a measuring client compares its own clock with. */
function stampOf(): string {
  return (performance.timeOrigin + performance.now()).toFixed(3);
}

function write(exchange: Exchange, text: string): void {
  if (text === '') return;
  exchange.bytesSent += Buffer.byteLength(text);
  exchange.response.write(text);
}

/** After how many tokens a fault cuts the stream; null: it does not. */
function cutPoint(fault: Fault | null, tokens: number): number | null {
  if (fault === null || !['truncate', 'stream_error', 'garbage'].includes(fault.kind)) return null;
  return Math.min(tokens, numberParameter(fault, 'after', Math.floor(tokens / 2)));
}

function breakStream(exchange: Exchange, pending: string, writer: AnswerWriter, fault: Fault): void {
  const { response } = exchange;
  let last = pending;
  if (fault.kind === 'stream_error') last += writer.failure(fault.parameters['form'] ?? 'error');
  if (fault.kind === 'garbage') last += 'event: message\ndata: {"id": "<html>502 Bad Gateway\n\n';
  exchange.bytesSent += Buffer.byteLength(last);
  if (fault.kind === 'truncate' && fault.parameters['end'] !== 'clean') {
    if (last === '') exchange.request.socket.destroy();
    else response.write(last, () => exchange.request.socket.destroy());
    return;
  }
  response.end(last);
}

/** Bills what was produced and journals the end. */
function settle(
  simulator: Simulator,
  exchange: Exchange,
  delivery: Delivery,
  outputTokens: number,
  end: Partial<ExchangeEnd>,
): void {
  endExchange(simulator, exchange, settlement(simulator, exchange, delivery, outputTokens, end));
}

function settlement(
  simulator: Simulator,
  exchange: Exchange,
  delivery: Delivery,
  outputTokens: number,
  end: Partial<ExchangeEnd>,
): Partial<ExchangeEnd> {
  const { call, answer, fault, admission } = delivery;
  // A call that is given up before it said anything was read all the same, and its input is billed.
  const billed: BilledTokens = { ...noTokens(), ...answer.billed, outputTokens };
  simulator.bill.add(exchange.account, call.card, tierOf(call), billed);
  const output = exchange.dialect === 'anthropic' ? outputTokens : 0;
  return { chargedTokens: admission.chargedTokens + output, billed, fault: fault?.kind ?? null, ...end };
}

function tierOf(call: ModelCall): PriceTier {
  if (call.serviceTier === 'flex') return 'flex';
  return call.serviceTier === 'priority' && call.card.vendor === 'openai' ? 'priority' : 'standard';
}
