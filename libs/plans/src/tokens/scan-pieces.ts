import { countTokens as countPiece } from 'gpt-tokenizer/encoding/o200k_base';
import { O200K_TOKEN_SPLIT_REGEX } from 'gpt-tokenizer/encodingParams/constants';

/**
 * o200k cuts a text into pieces with a regular expression and encodes each piece by itself, so the tokens of a text are the
 * sum over its pieces, and a piece that was seen before need not be encoded again.
 */

/** Encoding a piece takes time in the square of its length, so a longer one (base64, a run of dashes) is taken in parts. */
const MAX_PIECE_CHARACTERS = 128;
/** The expression keeps a stack entry per character of a run, so it is shown no more than this at once. */
const WINDOW_CHARACTERS = 8_192;
/** Texts that look like a vendor's control tokens are text like any other. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

/** Is told where a piece ends and how many tokens it has; returns false to stop. */
export type PieceVisitor = (end: number, tokens: number) => boolean;

/** Counts pieces and remembers them; it lives as long as one count or one split. */
export interface PieceScanner {
  /** Walks over the pieces of `text` from `start`, which must not be inside a surrogate pair. */
  scan(text: string, start: number, visit: PieceVisitor): void;
}

/** A scanner that has seen nothing yet. */
export function createPieceScanner(): PieceScanner {
  const known = new Map<string, number>();
  const expression = new RegExp(O200K_TOKEN_SPLIT_REGEX.source, 'yu');

  const tokensOf = (piece: string): number => {
    let tokens = known.get(piece);
    if (tokens === undefined) {
      tokens = countPiece(piece, AS_TEXT);
      known.set(piece, tokens);
    }
    return tokens;
  };

  /** Visits `[begin, end)` of the text in parts that are short enough to encode; returns whether to go on. */
  const visitPiece = (text: string, begin: number, end: number, visit: PieceVisitor): boolean => {
    let position = begin;
    while (position < end) {
      const partEnd = Math.min(end, wholeCharacters(text, position + MAX_PIECE_CHARACTERS));
      if (!visit(partEnd, tokensOf(text.slice(position, partEnd)))) return false;
      position = partEnd;
    }
    return true;
  };

  /** Visits the pieces of one window; returns where it stopped, or null when the visitor wants no more. */
  const scanWindow = (text: string, from: number, to: number, visit: PieceVisitor): number | null => {
    const window = text.slice(from, to);
    const isLast = to === text.length;
    let position = 0;
    while (position < window.length) {
      expression.lastIndex = position;
      // The expression matches every character; were it ever not to, the scan must still move on.
      const end = expression.test(window) ? expression.lastIndex : nextCharacter(window, position);
      // The last piece of a window may go on in the next one, unless it is the whole window.
      if (end === window.length && !isLast && position > 0) break;
      if (!visitPiece(text, from + position, from + end, visit)) return null;
      position = end;
    }
    return from + position;
  };

  return {
    scan(text, start, visit) {
      let position: number | null = start;
      while (position !== null && position < text.length) {
        position = scanWindow(text, position, wholeCharacters(text, position + WINDOW_CHARACTERS), visit);
      }
    },
  };
}

/** The index, at most `index` (and the length), that is not inside a surrogate pair. */
export function wholeCharacters(text: string, index: number): number {
  if (index >= text.length) return text.length;
  const isInside = isHigh(text.charCodeAt(index - 1)) && isLow(text.charCodeAt(index));
  return isInside ? index - 1 : index;
}

function nextCharacter(text: string, index: number): number {
  return index + (isHigh(text.charCodeAt(index)) && isLow(text.charCodeAt(index + 1)) ? 2 : 1);
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
