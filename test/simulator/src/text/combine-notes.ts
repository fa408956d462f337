import { keyWordsOf, sentencesOf } from './sentences.ts';
import { finished, rankSentences, summarise, type SummaryLength } from './summarise.ts';

/**
 * Merges notes (list items or paragraphs) into one paragraph: from each note in turn its most telling
 * sentence, then the next, until the length is used up; what was said already is left out.
 */
export function combineNotes(text: string, length: SummaryLength): string {
  const notes = text
    .split(/\n\s*(?=(?:[-*•]|\d+[.)]|#+|note \d+:?|part \d+:?|---+)\s)|\n\s*\n/i)
    .map((note) => note.replace(/^\s*(?:[-*•]|\d+[.)]|#+|note \d+:?|part \d+:?|-{3,})\s*/i, '').trim())
    .filter((note) => note !== '');
  if (notes.length < 2) return summarise(text, length);
  const ranked = notes.map((note) => {
    const sentences = sentencesOf(note);
    return { sentences, order: rankSentences(sentences) };
  });
  const chosen: { note: number; sentence: number; text: string }[] = [];
  let characters = 0;
  // A paragraph of many notes may be longer than a summary of one text.
  const maxCharacters = Math.max(
    length.maxCharacters,
    Math.min(1_500, notes.length * 160, length.roomCharacters ?? 1_500),
  );
  for (let round = 0; round < 3; round += 1) {
    for (const [note, { sentences, order }] of ranked.entries()) {
      const sentence = order[round];
      const found = sentence === undefined ? undefined : sentences[sentence];
      if (sentence === undefined || found === undefined) continue;
      const candidate = finished(found);
      if (chosen.length > 0 && characters + candidate.length > maxCharacters) continue;
      if (chosen.some((known) => alike(known.text, candidate))) continue;
      chosen.push({ note, sentence, text: candidate });
      characters += candidate.length + 1;
    }
  }
  chosen.sort((left, right) => left.note - right.note || left.sentence - right.sentence);
  return chosen.map((each) => each.text).join(' ');
}

/** Two sentences that share most of their key words say the same. */
function alike(left: string, right: string): boolean {
  const leftWords = new Set(keyWordsOf(left));
  const rightWords = new Set(keyWordsOf(right));
  let common = 0;
  for (const word of leftWords) if (rightWords.has(word)) common += 1;
  return common >= 0.7 * Math.min(leftWords.size, rightWords.size) && common > 2;
}
