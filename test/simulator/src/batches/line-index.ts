import { closeSync, openSync, readSync } from 'node:fs';

/** The lines of a file by number, read from disk one at a time. */
export interface LineIndex {
  readonly count: number;
  read(line: number): string;
  close(): void;
}

const CHUNK_BYTES = 1024 * 1024;
const NEWLINE = 10;

/** Finds where the lines of a file begin, as far as can be of use; empty lines do not count. */
export function indexLines(path: string, maxLines: number): LineIndex {
  const handle = openSync(path, 'r');
  const starts: number[] = [];
  const ends: number[] = [];
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let count = 0;
  let lineStart = 0;
  let offset = 0;
  const push = (end: number): void => {
    if (end > lineStart) {
      count += 1;
      if (count > maxLines) starts.length = ends.length = 0;
    }
    if (end > lineStart && count <= maxLines) {
      starts.push(lineStart);
      ends.push(end);
    }
    lineStart = end + 1;
  };
  for (;;) {
    const size = readSync(handle, chunk, 0, CHUNK_BYTES, offset);
    if (size === 0) break;
    let at = chunk.subarray(0, size).indexOf(NEWLINE);
    while (at >= 0) {
      push(offset + at);
      at = chunk.subarray(0, size).indexOf(NEWLINE, at + 1);
    }
    offset += size;
  }
  push(offset);
  return {
    count,
    read(line) {
      const start = starts[line] ?? 0;
      const bytes = Buffer.alloc((ends[line] ?? start) - start);
      readSync(handle, bytes, 0, bytes.length, start);
      return bytes.toString('utf8');
    },
    close: () => {
      closeSync(handle);
    },
  };
}

/** The first line of a file, without looking at the rest. */
export function firstLineOf(path: string): string {
  const handle = openSync(path, 'r');
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(64 * 1024);
    const size = readSync(handle, chunk);
    const end = chunk.subarray(0, size).indexOf(NEWLINE);
    chunks.push(chunk.subarray(0, end < 0 ? size : end));
    if (end >= 0 || size === 0) break;
  }
  closeSync(handle);
  return Buffer.concat(chunks).toString('utf8');
}
