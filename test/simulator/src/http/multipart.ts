import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Where the bytes of a file part go. */
interface FileSink {
  write(bytes: Buffer): void;
}

export interface MultipartForm {
  readonly fields: Readonly<Record<string, string>>;
  readonly fileName: string | null;
  readonly fileBytes: number;
  /** Of the whole body as it arrived. */
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Reads `multipart/form-data` as it arrives: fields into memory, the one file into the sink. `null` when the
 * body is no such form or broke off.
 */
export async function readMultipart(request: IncomingMessage, sink: FileSink): Promise<MultipartForm | null> {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(request.headers['content-type'] ?? '');
  const name = boundary?.[1] ?? boundary?.[2];
  if (name === undefined) return null;
  const parser = createParser(`\r\n--${name}`, sink);
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      hash.update(chunk);
      parser.feed(chunk);
    }
  } catch {
    return null;
  }
  const form = parser.finish();
  return form === null ? null : { ...form, sha256: hash.digest('hex'), bytes };
}

/** States: preamble → headers → body → (headers → body)* → epilogue. */
function createParser(
  delimiter: string,
  sink: FileSink,
): { feed(chunk: Buffer): void; finish(): Omit<MultipartForm, 'sha256' | 'bytes'> | null } {
  const mark = Buffer.from(delimiter);
  const fields: Record<string, string> = {};
  let state: 'preamble' | 'headers' | 'body' | 'epilogue' = 'preamble';
  // The first boundary stands at the start of the body, without the line break before it.
  let held: Buffer = Buffer.from('\r\n');
  let part = { name: '', isFile: false, text: [] as Buffer[] };
  let fileName: string | null = null;
  let fileBytes = 0;

  function take(bytes: Buffer): void {
    if (bytes.length === 0 || state !== 'body') return;
    if (!part.isFile) {
      part.text.push(bytes);
      return;
    }
    fileBytes += bytes.length;
    sink.write(bytes);
  }
  /** True when the state moved on and the rest may be looked at again. */
  function step(): boolean {
    if (state === 'epilogue') {
      held = Buffer.alloc(0);
      return false;
    }
    if (state === 'headers') {
      const end = held.indexOf('\r\n\r\n');
      if (held.subarray(0, 2).toString() === '--') state = 'epilogue';
      else if (end < 0) return false;
      else {
        beginPart(held.subarray(0, end).toString('utf8'));
        held = held.subarray(end + 4);
        state = 'body';
      }
      return true;
    }
    const at = held.indexOf(mark);
    if (at < 0) {
      // The end of what is held may be the beginning of a boundary.
      const safe = Math.max(0, held.length - mark.length + 1);
      take(held.subarray(0, safe));
      held = held.subarray(safe);
      return false;
    }
    take(held.subarray(0, at));
    if (state === 'body' && !part.isFile) fields[part.name] = Buffer.concat(part.text).toString('utf8');
    held = held.subarray(at + mark.length);
    state = 'headers';
    return held.length >= 2;
  }
  function beginPart(headers: string): void {
    const disposition = /content-disposition:[^\r\n]*/i.exec(headers)?.[0] ?? '';
    const file = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1];
    part = { name: /;\s*name="([^"]*)"/i.exec(disposition)?.[1] ?? '', isFile: file !== undefined, text: [] };
    if (file !== undefined) fileName = file;
  }

  return {
    feed(chunk) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      while (step());
    },
    finish: () =>
      state === 'epilogue' || (state === 'headers' && held.toString().startsWith('--'))
        ? { fields, fileName, fileBytes }
        : null,
  };
}
