import { createPieceScanner, wholeCharacters } from './scan-pieces.ts';
import type { PieceScanner } from './scan-pieces.ts';
import {
  lastParagraphStart,
  lastSentenceStart,
  lastWordStart,
  firstSentenceStart,
  firstWordStart,
} from './text-bounds.ts';

export interface SplitOptions {
  /** No chunk has more; at least 16. */
  maxTokens: number;
  /** Tokens that a chunk repeats from the end of the one before; more than half of `maxTokens` counts as half. */
  overlapTokens: number;
  /** The splitter stops one chunk past this, for a caller that refuses so many anyway. */
  maxChunks?: number;
}

/** A chunk is `[start, end)`; what it repeats of the one before is `[start, fresh)`. */
interface ChunkRange {
  start: number;
  fresh: number;
  end: number;
}

/**
 * Cuts a text into chunks of at most `maxTokens` (as countTokens counts), each as long as can be while it ends with a
 * paragraph, else with a sentence, else with a word. Nothing is lost: without their overlaps the chunks are the text. An
 * overlap begins with a sentence, else with a word. No surrogate pair is cut. Throws RangeError when `maxTokens` < 16.
 */
export function splitText(text: string, options: SplitOptions): string[] {
  return splitRanges(text, options).map(({ start, end }) => text.slice(start, end));
}

/** {@link splitText} as positions. */
export function splitRanges(text: string, options: SplitOptions): ChunkRange[] {
  const { maxTokens, maxChunks = Infinity } = options;
  if (!(maxTokens >= 16)) throw new RangeError(`maxTokens must be at least 16, not ${maxTokens}`);
  const overlapTokens = Math.min(options.overlapTokens, maxOverlapTokens(maxTokens));
  const scanner = createPieceScanner();
  const ranges: ChunkRange[] = [];
  let start = 0;
  let fresh = 0;
  while (fresh < text.length && ranges.length <= maxChunks) {
    const measured = measure(scanner, text, start, maxTokens);
    const limit = measured.ends.at(-1) ?? start;
    if (limit <= fresh && start < fresh) {
      // The overlap leaves no room for what comes next: this chunk begins without one.
      start = fresh;
      continue;
    }
    if (limit === text.length) {
      ranges.push({ start, fresh, end: limit });
      break;
    }
    // Nothing of what comes next fits: it is one piece that is too large, and it is cut without an overlap.
    const isPieceTooLarge = limit <= fresh;
    const end = isPieceTooLarge
      ? cutPiece(scanner, text, fresh, maxTokens)
      : chooseEnd(scanner, text, fresh, measured, maxTokens);
    ranges.push({ start, fresh, end });
    const overlaps = overlapTokens > 0 && !isPieceTooLarge;
    start = overlaps ? chooseOverlap(scanner, text, measured, end, overlapTokens) : end;
    fresh = end;
  }
  return ranges;
}

/** With more overlap a splitter would read the same text over and over. */
export function maxOverlapTokens(maxTokens: number): number {
  return Math.floor(maxTokens / 2);
}

/** The pieces from `start` that fit: where each ends, and the tokens up to there. */
interface Measured {
  start: number;
  ends: number[];
  totals: number[];
}

function measure(scanner: PieceScanner, text: string, start: number, maxTokens: number): Measured {
  const measured: Measured = { start, ends: [], totals: [] };
  let total = 0;
  scanner.scan(text, start, (end, tokens) => {
    total += tokens;
    if (total > maxTokens) return false;
    measured.ends.push(end);
    measured.totals.push(total);
    return true;
  });
  return measured;
}

function chooseEnd(
  scanner: PieceScanner,
  text: string,
  fresh: number,
  measured: Measured,
  maxTokens: number,
): number {
  const limit = measured.ends.at(-1) ?? fresh;
  // A bound in the first half would make a chunk of a heading; then the next finer kind of bound is better.
  const least = fresh + Math.floor((limit - fresh) / 2);
  const wanted =
    lastParagraphStart(text, least, limit) ??
    lastSentenceStart(text, least, limit) ??
    lastWordStart(text, least, limit) ??
    limit;
  return fits(scanner, text, measured, wanted, maxTokens) ? wanted : pieceEndBefore(measured, wanted, fresh);
}

/**
 * A bound inside a piece (between a space and its word) changes the last pieces of the chunk, so those few are counted
 * again as they are in the chunk.
 */
function fits(
  scanner: PieceScanner,
  text: string,
  measured: Measured,
  end: number,
  maxTokens: number,
): boolean {
  const index = lowerBound(measured.ends, end);
  if (measured.ends[index] === end) return true;
  const anchor = index - 4;
  let total = measured.totals[anchor] ?? 0;
  scanner.scan(text.slice(measured.ends[anchor] ?? measured.start, end), 0, (_end, tokens) => {
    total += tokens;
    return true;
  });
  return total <= maxTokens;
}

function pieceEndBefore(measured: Measured, end: number, fresh: number): number {
  const before = measured.ends[lowerBound(measured.ends, end) - 1] ?? fresh;
  return before > fresh ? before : (measured.ends.at(-1) ?? end);
}

/** The first characters of a piece that is too large by itself. */
function cutPiece(scanner: PieceScanner, text: string, start: number, maxTokens: number): number {
  let length = 2 * maxTokens;
  for (;;) {
    const end = wholeCharacters(text, start + length);
    const measured = measure(scanner, text.slice(start, end), 0, maxTokens);
    if (measured.ends.at(-1) === end - start || length <= 2) return Math.max(end, start + 1);
    length = Math.ceil(length / 2);
  }
}

/** Where the overlap that ends at `end` begins: `end` itself when not even a word fits. */
function chooseOverlap(
  scanner: PieceScanner,
  text: string,
  measured: Measured,
  end: number,
  overlapTokens: number,
): number {
  const last = lowerBound(measured.ends, end);
  const budget = (measured.totals[last] ?? measured.totals.at(-1) ?? 0) - overlapTokens;
  const index = lowerBound(measured.totals, budget);
  const lowest = budget <= 0 ? measured.start : (measured.ends[index] ?? end);
  if (lowest >= end) return end;
  let start = firstSentenceStart(text, lowest, end) ?? firstWordStart(text, lowest, end) ?? lowest;
  // A long run that is begun elsewhere is counted in other parts, which may have more tokens.
  while (start < end && tokensOf(scanner, text.slice(start, end)) > overlapTokens) {
    start = Math.min(end, measured.ends[lowerBound(measured.ends, start + 1)] ?? end);
  }
  return start;
}

function tokensOf(scanner: PieceScanner, text: string): number {
  let total = 0;
  scanner.scan(text, 0, (_end, tokens) => {
    total += tokens;
    return true;
  });
  return total;
}

/** Index of the first entry that is not below `value` in a sorted list. */
function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? Infinity) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
