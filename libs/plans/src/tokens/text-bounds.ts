/** Places where a text may be cut, found near an end. All return null when there is no such place in the range. */

/** How far beyond the range the segmenter may look, to see whether a sentence really ends there. */
const LOOK_AROUND_CHARACTERS = 64;

/** The largest index in `(above, upTo]` at which a paragraph begins: after an empty line. */
export function lastParagraphStart(text: string, above: number, upTo: number): number | null {
  // A search in the text itself would go back to its beginning each time there is no line break.
  const window = text.slice(above, upTo);
  let newline = window.lastIndexOf('\n');
  while (newline > 0) {
    let before = newline - 1;
    while (before > 0 && isBlank(window.charCodeAt(before))) before -= 1;
    if (window.charCodeAt(before) === 10) return above + newline + 1;
    newline = window.lastIndexOf('\n', before);
  }
  return null;
}

/** The largest index in `(above, upTo]` at which a sentence begins (Unicode UAX 29, as Intl.Segmenter has it). */
export function lastSentenceStart(text: string, above: number, upTo: number): number | null {
  let found: number | null = null;
  for (const { index } of sentences(text.slice(above, upTo + LOOK_AROUND_CHARACTERS))) {
    if (above + index > upTo) break;
    if (index > 0) found = above + index;
  }
  return found;
}

/** The smallest index in `[from, below)` at which a sentence begins. */
export function firstSentenceStart(text: string, from: number, below: number): number | null {
  const begin = Math.max(0, from - LOOK_AROUND_CHARACTERS);
  for (const { index } of sentences(text.slice(begin, below))) {
    if (index > 0 && begin + index >= from) return begin + index;
  }
  return null;
}

/** The largest index in `(above, upTo]` at which a word begins. */
export function lastWordStart(text: string, above: number, upTo: number): number | null {
  for (let index = upTo; index > above; index -= 1) {
    if (isWordStart(text, index)) return index;
  }
  return null;
}

/** The smallest index in `[from, below)` at which a word begins. */
export function firstWordStart(text: string, from: number, below: number): number | null {
  for (let index = from; index < below; index += 1) {
    if (index === 0 || isWordStart(text, index)) return index;
  }
  return null;
}

// The locale is fixed, because the same text must be cut in the same way on every machine.
function sentences(text: string): Iterable<{ index: number }> {
  return new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text);
}

function isWordStart(text: string, index: number): boolean {
  return isSpace(text.charCodeAt(index - 1)) && !isSpace(text.charCodeAt(index));
}

function isSpace(unit: number): boolean {
  return unit === 10 || unit === 13 || isBlank(unit);
}

/** White space within a line. */
function isBlank(unit: number): boolean {
  return unit === 32 || (unit >= 9 && unit <= 13 && unit !== 10) || unit === 0xa0 || unit === 0x3000;
}
