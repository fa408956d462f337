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
export function rankSentences(sentences: readonly string[], limit = 12): readonly number[] {
  const words = sentences.map((sentence) => keyWordsOf(sentence));
  const frequencies = frequenciesOf(words.flat());
  const left = sentences.map((sentence, index) => ({
    index,
    words: [...new Set(words[index])],
    factor: factorOf(sentence, words[index]?.length ?? 0, index, sentences.length),
  }));
  const heard = new Map<string, number>();
  const ranked: number[] = [];
  while (ranked.length < limit && left.length > 0) {
    let best = 0;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const [place, candidate] of left.entries()) {
      let weight = 0;
      for (const word of candidate.words) {
        weight += Math.log1p(frequencies.get(word) ?? 0) / (1 + 1.5 * (heard.get(word) ?? 0));
      }
      const score = weight * candidate.factor;
      if (score <= bestScore) continue;
      best = place;
      bestScore = score;
    }
    for (const chosen of left.splice(best, 1)) {
      ranked.push(chosen.index);
      for (const word of chosen.words) heard.set(word, (heard.get(word) ?? 0) + 1);
    }
  }
  return ranked;
}

/** How well a sentence stands in a summary, whatever its words: its length, its place, what it points back to. */
function factorOf(sentence: string, words: number, index: number, count: number): number {
  // Short sentences say little and long ones do not read well in a summary.
  const length = sentence.length;
  const shape = length < 40 ? 0.35 : length > 200 ? (200 / length) ** 1.5 : 1;
  const position = index === 0 ? 1.25 : index === count - 1 ? 1.05 : 1;
  return (shape * position * (DANGLING.test(sentence) ? 0.6 : 1)) / Math.sqrt(words + 4);
}

const DANGLING =
  /^(?:and|but|so|then|yet|or|for|he|she|it|they|this|that|these|those|his|her|its|also|such|all (?:this|that))\b|^["'“‘(]|\?$/i;

/** A very long sentence ends at a clause that can stand alone. */
function shortened(sentence: string): string {
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
