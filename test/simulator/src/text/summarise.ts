import { frequenciesOf, keyWordsOf, sentencesOf } from './sentences.ts';

/** How much text is wanted; the smallest limit counts. */
export interface SummaryLength {
  readonly maxSentences: number;
  readonly maxCharacters: number;
  /** What may be answered at all; absent: no limit is known. */
  readonly roomCharacters?: number;
}

/**
 * An extractive summary: the sentences whose words matter most in the text, in their own order. The same
 * text always gives the same summary.
 */
export function summarise(text: string, length: SummaryLength): string {
  const sentences = sentencesOf(text);
  if (sentences.length === 0) return text.replace(/\s+/g, ' ').trim().slice(0, length.maxCharacters);
  const chosen: number[] = [];
  let characters = 0;
  for (const index of rankSentences(sentences)) {
    if (chosen.length >= length.maxSentences) break;
    // A short sentence that points back means nothing without the one before it.
    const sentence = sentences[index] ?? '';
    if (chosen.length > 0 && sentence.length < 60 && DANGLING.test(sentence)) continue;
    const size = shortened(sentence).length + 1;
    if (chosen.length > 0 && characters + size > length.maxCharacters) continue;
    chosen.push(index);
    characters += size;
  }
  return chosen
    .sort((left, right) => left - right)
    .map((index) => finished(sentences[index] ?? ''))
    .join(' ');
}

/** The indexes of the sentences, the most telling first; what an earlier one said counts less. */
export function rankSentences(sentences: readonly string[]): readonly number[] {
  const words = sentences.map((sentence) => keyWordsOf(sentence));
  const frequencies = frequenciesOf(words.flat());
  const heard = new Map<string, number>();
  const left = new Set(sentences.keys());
  const ranked: number[] = [];
  const limit = Math.min(sentences.length, 40);
  while (ranked.length < limit) {
    let best = -1;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const index of left) {
      const score = scoreOf(
        sentences[index] ?? '',
        words[index] ?? [],
        index,
        sentences.length,
        frequencies,
        heard,
      );
      if (score <= bestScore) continue;
      best = index;
      bestScore = score;
    }
    left.delete(best);
    ranked.push(best);
    for (const word of words[best] ?? []) heard.set(word, (heard.get(word) ?? 0) + 1);
  }
  return ranked;
}

function scoreOf(
  sentence: string,
  words: readonly string[],
  index: number,
  count: number,
  frequencies: ReadonlyMap<string, number>,
  heard: ReadonlyMap<string, number>,
): number {
  if (words.length === 0) return -1;
  let weight = 0;
  for (const word of new Set(words)) {
    weight += Math.log1p(frequencies.get(word) ?? 0) / (1 + 1.5 * (heard.get(word) ?? 0));
  }
  // Short sentences say little and long ones do not read well in a summary.
  const length = sentence.length;
  const shape = length < 40 ? 0.35 : length > 200 ? (200 / length) ** 1.5 : 1;
  const position = index === 0 ? 1.25 : index === count - 1 ? 1.05 : 1;
  return (weight / Math.sqrt(words.length + 4)) * shape * position * (DANGLING.test(sentence) ? 0.6 : 1);
}

const DANGLING =
  /^(?:and|but|so|then|yet|or|for|he|she|it|they|this|that|these|those|his|her|its|also|such|all (?:this|that))\b|^["'“‘(]|\?$/i;

/** A very long sentence ends at a clause that can stand alone. */
export function shortened(sentence: string): string {
  if (sentence.length <= 240) return sentence;
  const bounds = [...sentence.matchAll(/[;:—](?=\s|\p{L})|,(?=\s(?:and|but|while|when|so|for|though)\b)/gu)];
  const bound = bounds.filter(({ index }) => index >= 70 && index <= 240).at(-1);
  return bound === undefined ? sentence : `${sentence.slice(0, bound.index)}.`;
}

/** With a capital, a full stop, and no quotation mark that has lost its partner. */
export function finished(sentence: string): string {
  let text = shortened(sentence.trim());
  const opening = (text.match(/[“]|(?<=^|\s)"/g) ?? []).length;
  const closing = (text.match(/[”]|"(?=$|[\s.,;:!?])/g) ?? []).length;
  if (opening !== closing) text = text.replace(/["“”]/g, '');
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]["'”’)\]]*$/.test(capital) ? capital : `${capital.replace(/[,;:–—-]+$/, '')}.`;
}
