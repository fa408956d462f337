import type { CallLifetime } from './call-lifetime.ts';
import { TransportFailure } from './transport-failure.ts';

/**
 * The same response with each chunk of its body noticed. Bytes, not events, prove that a vendor is alive: the SDKs
 * swallow pings, comments and keep-alive events, which is all that arrives while a model thinks for minutes.
 */
export function watchBody(response: Response, lifetime: CallLifetime, onFirstByte: () => void): Response {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  if (!reader) return response;
  let isFirst = true;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const chunk = await reader.read().catch((error: unknown) => {
          throw lifetime.endedBy === null ? new TransportFailure(error, 'answer') : error;
        });
        if (chunk.done) {
          controller.close();
          return;
        }
        lifetime.touch();
        if (isFirst) {
          isFirst = false;
          onFirstByte();
        }
        controller.enqueue(chunk.value);
      },
      cancel: () => leave(reader, lifetime),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: response.status, headers: response.headers });
}

/**
 * The reader had enough. After `[DONE]` only the end of the body is missing: reading it leaves the connection to the next
 * call, while cancelling closes it. In all other cases the connection must go, so that the vendor stops working.
 */
async function leave(reader: ReadableStreamDefaultReader<Uint8Array>, lifetime: CallLifetime): Promise<void> {
  if (lifetime.controller.signal.aborted) return reader.cancel();
  lifetime.drain();
  try {
    while (!(await reader.read()).done);
  } catch {
    // The end did not come, or not in time: the connection is gone, and with it nothing that was wanted.
  }
}
