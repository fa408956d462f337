import { pipeline } from 'node:stream/promises';
import busboy from 'busboy';
import type { Request } from 'express';
import { OpenAiError } from './openai-error.ts';

/** A multipart form with one file, whose content has been written elsewhere. */
export interface Upload {
  fields: ReadonlyMap<string, string>;
  fileName: string;
  bytes: number;
}

/** The form's fields are a purpose and a life; nothing of them is long. */
const MAX_FIELDS = 20;
const MAX_FIELD_BYTES = 1_024;
const MAX_FILE_NAME = 255;

/**
 * Reads a `multipart/form-data` request and hands the part `file` to `write` while it arrives, at the pace at which `write`
 * takes it. Throws OpenAiError for what is wrong with the form, and what `write` throws of its own; the rest of the request
 * stays unread then.
 */
export async function receiveUpload(
  request: Request,
  maxBytes: number,
  write: (content: AsyncIterable<Uint8Array>) => Promise<{ bytes: number }>,
): Promise<Upload> {
  const parser = createParser(request, maxBytes);
  const fields = new Map<string, string>();
  let fileName = '';
  let writing: Promise<{ bytes: number }> | null = null;
  let tooLarge = false;
  const errors: { ofForm?: Error; ofWriting?: Error; ofPart?: OpenAiError } = {};

  parser.on('field', (name, value) => fields.set(name, value));
  parser.on('file', (name, content, info) => {
    // A form that breaks off breaks its part, and nobody may be reading that: not yet, or not at all.
    content.on('error', (error) => (errors.ofForm ??= error));
    if (name !== 'file' || writing) {
      content.resume();
      errors.ofPart ??= superfluous(name);
      return;
    }
    fileName = (info.filename ?? '').replaceAll('\u0000', '').toWellFormed().slice(0, MAX_FILE_NAME);
    content.once('limit', () => {
      tooLarge = true;
      content.destroy(new Error('the file is too large'));
    });
    writing = write(content);
    // A store that fails must not be fed on; the parser's end is waited for first, and hears of it here.
    writing.catch((thrown: unknown) => {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (error !== errors.ofForm) errors.ofWriting = error;
      parser.destroy(error);
    });
  });

  const parsed = await pipeline(request, parser).then(
    () => null,
    (error: unknown) => ({ error }),
  );
  const written = await (writing as Promise<{ bytes: number }> | null)?.catch(() => null);
  if (tooLarge) {
    throw new OpenAiError(413, `The file is too large: it may have ${maxBytes} bytes.`, {
      param: 'file',
      code: 'file_too_large',
    });
  }
  if (errors.ofWriting !== undefined) throw errors.ofWriting;
  if (parsed !== null) throw unreadable(parsed.error);
  if (errors.ofPart !== undefined) throw errors.ofPart;
  if (!written) throw new OpenAiError(400, "'file' is a required property", { param: 'file' });
  return { fields, fileName, bytes: written.bytes };
}

function createParser(request: Request, maxBytes: number): busboy.Busboy {
  try {
    return busboy({
      headers: request.headers,
      defParamCharset: 'utf8',
      limits: {
        // One more than may be, for it is refused by its name.
        files: 2,
        fileSize: maxBytes,
        fields: MAX_FIELDS,
        fieldSize: MAX_FIELD_BYTES,
        parts: MAX_FIELDS + 2,
      },
    });
  } catch (error) {
    throw unreadable(error);
  }
}

/** A file that would be dropped. The parser gives no name to a part without one. */
function superfluous(name: string | undefined): OpenAiError {
  if (name === 'file') {
    return new OpenAiError(400, "A form has one 'file'; this one has more.", {
      param: 'file',
      code: 'invalid_value',
    });
  }
  return unknownParameter(name ?? '');
}

/** A part that would have no effect. */
export function unknownParameter(name: string): OpenAiError {
  const param = name.slice(0, 200);
  return new OpenAiError(400, `Unknown parameter: '${param}'.`, { param, code: 'unknown_parameter' });
}

function unreadable(cause: unknown): OpenAiError {
  return new OpenAiError(400, 'Could not parse multipart form', { cause });
}
