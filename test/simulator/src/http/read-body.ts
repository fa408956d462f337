import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface ReceivedBody {
  readonly text: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Reads a body whole; `null` when the client went away first, `too_large` above the limit. */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<ReceivedBody | null | 'too_large'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    }
  } catch {
    return null;
  }
  if (bytes > maxBytes) return 'too_large';
  const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  return { text: body.toString('utf8'), bytes, sha256: createHash('sha256').update(body).digest('hex') };
}
