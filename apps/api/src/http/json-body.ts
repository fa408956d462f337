import { isUtf8 } from 'node:buffer';
import { ProblemError } from '@millrace/contracts';
import { json } from 'express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { createBodiesUnderWay } from './bodies-under-way.ts';
import { exceedsNesting } from './json-nesting.ts';

/** Nothing that fits the schemas is deeper; what walks bodies by recursion relies on it. */
const MAX_NESTING = 64;

/**
 * Reads a JSON body into `request.body`, which stays undefined where there is none. Refuses what is not `application/json` (415), larger than the cap (413; a compressed body is
 * measured as it unfolds), not UTF-8 or not JSON, or nested deeper than 64 (400); and when the bodies under way in this process have more
 * than `mostBytesUnderWay` (256 MiB) together (429).
 */
export function jsonBody(options: { maxBytes: number; mostBytesUnderWay?: number }): RequestHandler {
  const underWay = createBodiesUnderWay(options.mostBytesUnderWay);
  const read = json({
    limit: options.maxBytes,
    strict: false,
    type: () => true,
    verify: (_request, _response, body) => refuseUnreadable(body),
  });
  return (request: Request, response: Response, next: NextFunction): void => {
    const { 'content-type': type, 'content-length': length, 'transfer-encoding': chunked } = request.headers;
    if (chunked === undefined && (length === undefined || length === '0')) {
      next();
      return;
    }
    if (type === undefined || !JSON_TYPE.test(type)) {
      next(new ProblemError('unsupported_media_type', 'The body must be application/json in UTF-8.'));
      return;
    }
    let isOver = false;
    const finish = (error?: unknown): void => {
      if (isOver) return;
      isOver = true;
      next(error);
    };
    underWay.admit(request, response, finish);
    if (isOver) return;
    read(request, response, (error?: unknown) => {
      finish(error === undefined ? undefined : translate(error, options.maxBytes));
    });
  };
}

const JSON_TYPE = /^\s*application\/json\s*(?:;\s*charset="?utf-?8"?\s*)?(?:;(?!\s*charset).*)?$/i;

/** The parser copies a status onto what is thrown here, which a ProblemError does not allow; so the kind travels in `type`. */
function refuseUnreadable(body: Buffer): void {
  if (!isUtf8(body)) throw Object.assign(new Error('not UTF-8'), { type: NOT_UTF8 });
  if (exceedsNesting(body, MAX_NESTING)) throw Object.assign(new Error('too deep'), { type: TOO_DEEP });
}

const NOT_UTF8 = 'millrace.not_utf8';
const TOO_DEEP = 'millrace.too_deep';

function translate(error: unknown, maxBytes: number): unknown {
  const { type, status } = error as { type?: string; status?: number };
  switch (type) {
    case NOT_UTF8:
      return new ProblemError('invalid_json', 'The body is not valid UTF-8.');
    case TOO_DEEP:
      return new ProblemError('invalid_json', `The body is nested deeper than ${MAX_NESTING} levels.`);
    case 'entity.too.large':
      return new ProblemError('body_too_large', `The body may have ${maxBytes} bytes, unpacked.`);
    case 'encoding.unsupported':
      return new ProblemError(
        'unsupported_media_type',
        'The content encoding must be gzip, deflate, br or identity.',
      );
    case 'charset.unsupported':
      return new ProblemError('unsupported_media_type', 'The body must be application/json in UTF-8.');
    default:
      // Everything else that the parser reports as the client's fault: no JSON, a wrong length, a broken compression.
      return status !== undefined && status >= 400 && status < 500
        ? new ProblemError('invalid_json', 'The body is not valid JSON.')
        : error;
  }
}
