import { frequenciesOf, keyWordsOf, sentencesOf } from './sentences.ts';

/** How much text is wanted; the smallest limit counts. */
export interface SummaryLength {
  readonly maxSentences: number;
  readonly maxCharacters: number;
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
    const size = (sentences[index] ?? '').length + 1;
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
  const shape = length < 35 ? 0.4 : length > 320 ? 320 / length : 1;
  const dangling =
    /^(?:and|but|so|then|he|she|it|they|this|that|these|those|his|her|its|also)\b|^["'“‘(]|\?$/i;
  const position = index === 0 ? 1.25 : index === count - 1 ? 1.05 : 1;
  return (weight / Math.sqrt(words.length + 4)) * shape * position * (dangling.test(sentence) ? 0.7 : 1);
}

function finished(sentence: string): string {
  const text = sentence.trim();
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]["'”’)\]]*$/.test(capital) ? capital : `${capital.replace(/[,;:–—-]+$/, '')}.`;
}
