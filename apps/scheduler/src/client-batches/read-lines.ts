import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';

/** One line of a file. `nextByte` is where the line after it begins. */
export interface FileLine {
  /** Counted from 1. */
  number: number;
  /** Null when the line has more bytes than may be held, or when these are no text. */
  text: string | null;
  /** False when the bytes are not UTF-8. */
  isText: boolean;
  nextByte: number;
}

const NEWLINE = 0x0a;
/** What editors of Windows put before the first character of a file. */
const BYTE_ORDER_MARK = '\ufeff';

/**
 * The lines of a stream that begins at line `fromLine` and byte `fromByte` of its file, ended by LF or CRLF, without a byte order mark
 * and without those that are blank, which have no number either. Holds one line and one piece of the stream at a time.
 */
export async function* readLines(
  stream: Readable,
  options: { fromLine: number; fromByte: number; maxLineBytes: number },
): AsyncGenerator<FileLine, void> {
  const { maxLineBytes } = options;
  let number = options.fromLine;
  let byte = options.fromByte;
  let parts: Uint8Array[] = [];
  let length = 0;

  const take = (part: Uint8Array): void => {
    length += part.length;
    if (length > maxLineBytes) parts = [];
    else if (part.length > 0) parts.push(part);
  };
  const end = (): FileLine | null => {
    // A file may be nothing but newlines, two hundred million of them.
    if (length === 0) return null;
    const bytes = Buffer.concat(parts);
    const isText = length > maxLineBytes || isUtf8(bytes);
    let text = length > maxLineBytes || !isText ? null : bytes.toString('utf8');
    parts = [];
    length = 0;
    if (text !== null && number === 1 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
    if (text !== null && text.trim() === '') return null;
    const line = { number, text, isText, nextByte: byte };
    number += 1;
    return line;
  };

  for await (const piece of stream as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, from)) {
      take(piece.subarray(from, at));
      byte += at + 1 - from;
      from = at + 1;
      const line = end();
      if (line) yield line;
    }
    // What is kept of a piece must not keep the whole of it.
    take(Buffer.from(piece.subarray(from)));
    byte += piece.length - from;
  }
  const last = end();
  if (last) yield last;
}
