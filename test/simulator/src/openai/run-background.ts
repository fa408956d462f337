import type { Admission } from '../answer/serve-call.ts';
import type { Answer } from '../answer/compose-answer.ts';
import type { ModelCall } from '../answer/model-call.ts';
import { endExchange, type Exchange } from '../http/exchange.ts';
import { vendorHeaders } from '../http/send-answer.ts';
import type { Simulator } from '../simulator.ts';
import type { ResponseStore } from './response-store.ts';
import { responseObject, writeResponses } from './write-responses.ts';

interface BackgroundPace {
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
}

/**
 * A response with `background: true`: answered at once as `queued`, then `in_progress`, and finished when its
 * time is over whether or not anybody listens. The journal's end is that of the work.
 */
export async function runBackground(
  simulator: Simulator,
  exchange: Exchange,
  store: ResponseStore,
  call: ModelCall,
  answer: Answer,
  admission: Admission,
  pace: BackgroundPace,
): Promise<void> {
  const id = simulator.nextId('resp_');
  const createdAt = simulator.clock.realMs() / 1_000;
  const queued = responseObject(call, answer, id, createdAt, 'queued', []);
  store.keep(queued);
  const body = JSON.stringify(queued);
  exchange.bytesSent += Buffer.byteLength(body);
  exchange.response.writeHead(200, {
    'content-type': 'application/json',
    ...vendorHeaders(simulator, exchange),
    ...admission.headers(),
  });
  exchange.response.end(body);

  await later(pace.firstTokenMs);
  if (store.find(id)?.['status'] === 'cancelled') return;
  store.keep({ ...queued, status: 'in_progress' });
  await later(pace.tokensPerSecond > 0 ? (answer.billed.outputTokens / pace.tokensPerSecond) * 1_000 : 0);
  const cancelled = store.find(id)?.['status'] === 'cancelled';
  if (!cancelled)
    writeResponses(call, answer, simulator, (done) => {
      store.keep({ ...done, id });
    }).whole();
  simulator.bill.add(
    exchange.account,
    call.card,
    call.serviceTier === 'flex' ? 'flex' : 'standard',
    answer.billed,
  );
  endExchange(simulator, exchange, {
    status: 200,
    finished: !cancelled,
    chargedTokens: admission.chargedTokens,
    billed: answer.billed,
  });
}

async function later(durationMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    // Nobody waits for background work when the simulator stops.
    setTimeout(resolve, durationMs).unref();
  });
}
