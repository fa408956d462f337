/** Cuts `{"requests": [...]}` into its requests as it arrives, so that a large body is never held whole. */
export interface RequestSplitter {
  feed(chunk: Buffer): void;
  /** False when the body was no JSON object. */
  finish(): boolean;
  /** Members of the object beside `requests`. */
  readonly others: readonly string[];
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

/** Depth 1 is inside the object, 2 inside the list of requests, 3 inside a request. */
export function createRequestSplitter(onRequest: (json: string) => void): RequestSplitter {
  const others: string[] = [];
  let depth = 0;
  let inText = false;
  let escaped = false;
  let inRequests = false;
  /** At depth 1: the member's name, as far as it was read. */
  let name = '';
  let readsName = false;
  let broken = false;
  let begun = false;
  let held: Buffer[] | null = null;

  function open(byte: number): void {
    if (depth === 0 && (begun || byte !== OPEN_BRACE)) broken = true;
    begun = true;
    if (depth === 1 && byte === OPEN_BRACKET && name === 'requests') inRequests = true;
    depth += 1;
    if (depth === 1) readsName = true;
  }
  /** True when a request has ended here. */
  function close(): boolean {
    depth -= 1;
    if (inRequests && depth === 1) inRequests = false;
    return inRequests && depth === 2;
  }
  function between(byte: number): void {
    if (depth !== 1) return;
    if (byte === COLON && readsName) {
      readsName = false;
      if (name !== 'requests') others.push(name);
    }
    if (byte === COMMA) {
      readsName = true;
      name = '';
    }
  }
  return {
    others,
    feed(chunk) {
      let start = 0;
      for (let at = 0; at < chunk.length; at += 1) {
        const byte = chunk[at] ?? 0;
        if (inText) {
          if (escaped) escaped = false;
          else if (byte === BACKSLASH) escaped = true;
          else if (byte === QUOTE) inText = false;
          if (inText && depth === 1 && readsName) name += String.fromCharCode(byte);
          continue;
        }
        if (byte === QUOTE) {
          inText = true;
          if (depth === 1 && readsName) name = '';
        }
        if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
          if (inRequests && depth === 2) {
            held = [];
            start = at;
          }
          open(byte);
        } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
          if (close() && held !== null) {
            held.push(chunk.subarray(start, at + 1));
            onRequest(Buffer.concat(held).toString('utf8'));
            held = null;
          }
        } else if (inRequests && depth === 2) {
          // Something that is neither an object nor a list is no request.
          if (byte > SPACE && byte !== COMMA) broken = true;
        } else between(byte);
      }
      if (held !== null) held.push(Buffer.from(chunk.subarray(start)));
    },
    finish: () => begun && !broken && depth === 0 && !inText,
  };
}
