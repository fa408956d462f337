import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { numberParameter, type Fault } from '../faults/fault-kinds.ts';
import type { Simulator } from '../simulator.ts';
import { endExchange, type Exchange } from './exchange.ts';
import { vendorHeaders } from './send-answer.ts';

interface FileAnswer {
  readonly path: string;
  readonly bytes: number;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Streams a file as the body of a 200; false when the client did not get it whole. The fault `truncate` sends the
 * first part only (`at`: a share, 0.5); with `end=clean` the answer ends as if that were all, else it breaks off.
 */
export async function sendFile(
  simulator: Simulator,
  exchange: Exchange,
  file: FileAnswer,
  fault: Fault | null,
): Promise<boolean> {
  if (exchange.answerLost) {
    endExchange(simulator, exchange, { fault: 'lost_response' });
    exchange.request.socket.destroy();
    return false;
  }
  const cut = fault?.kind === 'truncate';
  const clean = cut && fault.parameters['end'] === 'clean';
  const bytes = cut ? Math.floor(file.bytes * numberParameter(fault, 'at', 0.5)) : file.bytes;
  exchange.response.writeHead(200, {
    ...file.headers,
    ...(clean ? {} : { 'content-length': file.bytes }),
    ...vendorHeaders(simulator, exchange),
  });
  const end = { status: 200, fault: cut ? fault.kind : null };
  try {
    if (bytes > 0) {
      const source = createReadStream(file.path, { end: bytes - 1 });
      await pipeline(source, exchange.response, { end: !cut || clean });
    } else exchange.response.flushHeaders();
    if (bytes === 0 && (!cut || clean)) exchange.response.end();
    exchange.bytesSent += bytes;
    endExchange(simulator, exchange, { ...end, finished: !cut });
    if (cut && !clean) exchange.request.socket.destroySoon();
    return !cut;
  } catch {
    endExchange(simulator, exchange, { ...end, aborted: true });
    return false;
  }
}
