import { errorOfFault } from '../faults/error-faults.ts';
import { isErrorFault, numberParameter, type Fault } from '../faults/fault-kinds.ts';
import { parseJson, stringOf, objectOf } from '../json-value.ts';
import { readMarkers } from '../prompt-markers.ts';
import type { Simulator } from '../simulator.ts';
import { acceptExchange, endExchange, withoutAttempt, type Exchange } from './exchange.ts';
import { keyProblem, tooLargeError } from './key-check.ts';
import { readBody, type ReceivedBody } from './read-body.ts';
import { sendError, sendJson } from './send-answer.ts';
import { isVendorError, type VendorError } from './vendor-error.ts';
import { waitClosed, waitOpen } from './wait-open.ts';

/** Answers a request that runs no model: the body of a 200, or an error. */
export type JsonHandler = (
  simulator: Simulator,
  exchange: Exchange,
  body: unknown,
) => Promise<object | VendorError> | object | VendorError;

const MAX_BODY_BYTES = 256 * 1024 * 1024;

/** Journal, key check and faults around a plain JSON endpoint. */
export async function serveJson(
  simulator: Simulator,
  exchange: Exchange,
  handler: JsonHandler,
): Promise<void> {
  const received = await readBody(exchange.request, MAX_BODY_BYTES);
  if (received === null) return;
  if (received === 'too_large') {
    sendError(simulator, exchange, tooLargeError(exchange.dialect, MAX_BODY_BYTES));
    return;
  }
  const parsed = received.text === '' ? null : parseJson(received.text);
  acceptExchange(simulator, exchange, received, parsed);
  const problem = keyProblem(simulator, exchange);
  if (problem !== null) {
    sendError(simulator, exchange, problem);
    return;
  }
  if ((await applyFault(simulator, exchange, received, parsed)) === 'answered') return;
  const answer = await handler(simulator, exchange, parsed);
  if (isVendorError(answer)) sendError(simulator, exchange, answer);
  else sendJson(simulator, exchange, 200, answer);
}

/** Applies the fault chosen for a request that runs no model: `answered` (or dropped), or what is left to the caller. */
export async function applyFault(
  simulator: Simulator,
  exchange: Exchange,
  received: ReceivedBody,
  parsed: unknown,
): Promise<'answered' | Fault | null> {
  const model = stringOf(objectOf(parsed)['model']);
  const fault = simulator.faults.choose({
    dialect: exchange.dialect,
    path: exchange.path,
    method: exchange.method,
    model,
    account: exchange.account,
    promptText: received.text,
    // A batch's markers belong to its lines.
    markers: exchange.path.includes('/batches') ? [] : readMarkers(received.text).faults,
    countBy: exchange.accepted?.stepId ? withoutAttempt(exchange.accepted.stepId) : received.sha256,
  });
  if (fault === null) return null;
  if (isErrorFault(fault.kind)) {
    const error = errorOfFault(exchange.dialect, fault.kind, fault, model ?? 'unknown');
    sendError(simulator, exchange, error, {}, { fault: fault.kind });
    return 'answered';
  }
  if (fault.kind === 'slow_first_byte') {
    await waitOpen(exchange, numberParameter(fault, 'ms', 5_000));
    return fault;
  }
  if (fault.kind === 'hang') {
    await waitClosed(exchange);
    endExchange(simulator, exchange, { aborted: true, fault: fault.kind });
    return 'answered';
  }
  if (fault.kind === 'lost_response') exchange.answerLost = true;
  if (fault.kind !== 'reset') return fault;
  endExchange(simulator, exchange, { fault: fault.kind });
  exchange.request.socket.destroy();
  return 'answered';
}
