/** Bytes that are put together before they are sent: small pieces cost a system call each. */
const CHUNK_BYTES = 64 * 1024;

/**
 * How `fetch` must be asked to send a stream in flat memory. Else it keeps a copy of the whole body for a redirect: the
 * standard clones the request ("HTTP-network-or-cache fetch", step 8) unless no redirect and no window can come of it.
 */
export const STREAMED = { redirect: 'error', window: null } as const;

/** Beyond this a line is no result but a broken file. */
const LONGEST_LINE = 64 * 1024 * 1024;

/** A file of JSON lines was cut in the middle of a line, or is none. */
export class BrokenLines extends Error {}

/**
 * The lines of a body, one at a time: no more is held than one line and one chunk. Leaving the loop closes the connection;
 * an abort ends it with the signal's reason. A last line without its end is given too, unless it was cut ({@link BrokenLines}).
 */
export async function* readLines(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const leave = () => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener('abort', leave, { once: true });
  const decoder = new TextDecoder();
  let pieces: string[] = [];
  let length = 0;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      const text = decoder.decode(value, { stream: !done });
      const parts = text.split('\n');
      const rest = parts.pop() ?? '';
      for (const part of parts) {
        pieces.push(part);
        const line = pieces.join('');
        pieces = [];
        length = 0;
        if (line.trim() !== '') yield line;
      }
      if (rest !== '') pieces.push(rest);
      length += rest.length;
      if (length > LONGEST_LINE) throw new BrokenLines(`a line has more than ${LONGEST_LINE} characters`);
      if (done) break;
    }
    const last = pieces.join('');
    if (last.trim() === '') return;
    if (!isJson(last)) throw new BrokenLines('the file breaks off in the middle of a line');
    yield last;
  } finally {
    signal.removeEventListener('abort', leave);
    await reader.cancel().catch(() => undefined);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Lines as bytes in larger pieces, with a text before, between and after them; read no faster than they are sent. */
export async function* writeLines(
  lines: AsyncIterable<string>,
  frame: { before: string; between: string; after: string },
): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting = [frame.before];
  let size = 0;
  let isFirst = true;
  for await (const line of lines) {
    waiting.push(isFirst ? line : frame.between + line);
    isFirst = false;
    size += line.length;
    if (size < CHUNK_BYTES) continue;
    yield Buffer.from(waiting.join(''), 'utf8');
    waiting = [];
    size = 0;
  }
  waiting.push(frame.after);
  yield Buffer.from(waiting.join(''), 'utf8');
}

/**
 * Lines whose source may fail while they are sent: the sending then fails with some error of the network, and `orOwnError`
 * throws the source's own error in its place.
 */
export function keepOwnError(lines: AsyncIterable<string>): {
  lines: AsyncIterable<string>;
  orOwnError<Result>(sending: Promise<Result>): Promise<Result>;
} {
  let own: { error: unknown } | null = null;
  async function* watched(): AsyncGenerator<string, void, undefined> {
    try {
      yield* lines;
    } catch (error) {
      own = { error };
      throw error;
    }
  }
  return {
    lines: watched(),
    orOwnError: (sending) =>
      sending.catch((error: unknown) => {
        throw own === null ? error : own.error;
      }),
  };
}
