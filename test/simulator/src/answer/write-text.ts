import { withoutMarkers } from '../prompt-markers.ts';
import { classify, labelsIn } from '../text/classify.ts';
import { keyWordsOf, sentencesOf } from '../text/sentences.ts';
import { ORDER, splitPrompt, type SplitPrompt } from '../text/split-prompt.ts';
import { finished, rankSentences, summarise, type SummaryLength } from '../text/summarise.ts';
import { titleOf } from '../text/title.ts';
import { bestOption, pieceAbout, replyTo } from '../text/write-piece.ts';
import { combineNotes } from '../text/combine-notes.ts';
import type { ModelCall } from './model-call.ts';

/** The text answer to a call: a label, a list, a merged paragraph, an answer found in the text, or a summary. */
export function writeText(call: ModelCall): string {
  const { instruction, data } = dataOf(call);
  const labels = labelsIn(instruction);
  if (labels.length >= 2 && asksForLabel(instruction)) return classify(data, labels);
  if (
    call.format.kind === 'json_object' ||
    /\b(?:as|return|in|valid) json\b|json object/i.test(instruction)
  ) {
    return JSON.stringify({
      summary: summarise(data, { maxSentences: 2, maxCharacters: 400 }),
      key_points: points(data, 3),
    });
  }
  const length = wantedLength(call, instruction, data);
  if (/\b(?:title|headline)\b/i.test(instruction)) return titleOf(data);
  if (/\b(?:judge|best|better|strongest)\b/i.test(instruction)) {
    const best = bestOption(data, instruction);
    if (best !== null) return best;
  }
  if (
    /\b(?:reply|answer|response|respond) to\b|\breply\b(?! with)/i.test(instruction) &&
    !instruction.trimEnd().endsWith('?')
  ) {
    return replyTo(data);
  }
  if (/\b(?:bullet|list (?:of|the)|key points|main points|action items)\b/i.test(instruction)) {
    return points(data, Math.min(5, length.maxSentences))
      .map((point) => `- ${point}`)
      .join('\n');
  }
  if (
    /\b(?:combine|merge|these notes|notes (?:above|below)|partial summaries|summaries)\b/i.test(instruction)
  ) {
    return combineNotes(data, length);
  }
  const question = closingQuestion(instruction) ?? closingQuestion(data);
  if (question !== null) return answerFrom(question, data, length.maxSentences);
  if (ORDER.test(data) && sentencesOf(data).length <= 1) return pieceAbout(data);
  return summarise(data, length);
}

/** Instruction and data of a call: the system text instructs, the first turn of the user may hold both. */
export function dataOf(call: ModelCall): SplitPrompt {
  const asked = call.turns.filter((turn) => turn.role === 'user').map((turn) => withoutMarkers(turn.text));
  const first = splitPrompt(asked[0] ?? '');
  const tools = call.turns.filter((turn) => turn.role === 'tool').map((turn) => withoutMarkers(turn.text));
  // What follows the first turn is feedback on an answer; only a first turn without data is filled up by it.
  const data = [first.data, ...tools].join('\n\n').trim();
  return { instruction: `${withoutMarkers(call.system)}\n${first.instruction}`.trim(), data };
}

function asksForLabel(instruction: string): boolean {
  return ASKS_FOR_LABEL.test(instruction) || instruction.trimEnd().endsWith('?');
}

const ASKS_FOR_LABEL =
  /\b(?:one of|classif\w*|categor\w*|labels?|either|rout(?:e|er|es)|choose|pick|select|decide|determine|yes or no|sentiment|only|(?:answer|reply|respond) with)\b/i;

/** In proportion to the data, unless the instruction names a length; never above what may be answered. */
function wantedLength(call: ModelCall, instruction: string, data: string): SummaryLength {
  const natural = Math.max(60, Math.min(220, Math.round((data.length / 4.4) * 0.14)));
  const room =
    call.maxOutputTokens === null ? natural : Math.min(natural, Math.floor(call.maxOutputTokens * 0.85));
  const characters = room * 4.4;
  const roomCharacters = (call.maxOutputTokens ?? 1_000) * 0.85 * 4.4;
  const sentences = /\b(one|two|three|four|five|a single|\d+)(?:[- ]|\s+short\s+)sentences?\b/i.exec(
    instruction,
  )?.[1];
  const words = /\b(\d+) words\b/i.exec(instruction)?.[1];
  return {
    maxSentences: sentences === undefined ? 8 : numberOfWord(sentences),
    maxCharacters: words === undefined ? characters : Math.min(Number(words) * 5.8, roomCharacters),
    roomCharacters,
  };
}

function numberOfWord(word: string): number {
  const known: Readonly<Record<string, number>> = {
    one: 1,
    'a single': 1,
    two: 2,
    three: 3,
    four: 4,
    five: 5,
  };
  return known[word.toLowerCase()] ?? Math.max(1, Number(word) || 1);
}

function points(data: string, count: number): readonly string[] {
  const sentences = sentencesOf(data);
  return rankSentences(sentences)
    .slice(0, count)
    .sort((left, right) => left - right)
    .map((index) => finished(sentences[index] ?? ''));
}

/** The question that a text ends with. */
function closingQuestion(text: string): string | null {
  const trimmed = text.trimEnd();
  if (!trimmed.endsWith('?')) return null;
  const start = Math.max(...['.', '!', '?', '\n'].map((end) => trimmed.lastIndexOf(end, trimmed.length - 2)));
  return trimmed.slice(start + 1).trim();
}

/** The sentences that share most words with the question. */
function answerFrom(question: string, data: string, maxSentences: number): string {
  const asked = new Set(keyWordsOf(question));
  const sentences = sentencesOf(data).filter((sentence) => !sentence.endsWith('?'));
  const scored = sentences
    .map((sentence, index) => ({
      sentence,
      index,
      score: keyWordsOf(sentence).filter((word) => asked.has(word)).length,
    }))
    .filter(({ score }) => score > 0)
    .sort((left, right) => right.score - left.score || left.index - right.index)
    .slice(0, Math.min(2, maxSentences));
  if (scored.length === 0) {
    return sentences.length > 0
      ? summarise(sentences.join(' '), { maxSentences: 2, maxCharacters: 400 })
      : 'The text that I was given does not say, so I cannot answer this with certainty.';
  }
  return scored
    .sort((left, right) => left.index - right.index)
    .map(({ sentence }) => finished(sentence))
    .join(' ');
}
