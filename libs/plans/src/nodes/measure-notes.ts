import type { CallNode, Json, PlanNode } from '@millrace/contracts';
import type { Place, Run } from '../run/run.ts';
import { nodeFailure } from '../run/signals.ts';
import { outputText } from '../templates/output-text.ts';
import { TemplateError, TextTooLarge } from '../templates/template-engine.ts';
import { createTokenCounter } from '../tokens/count-tokens.ts';
import { renderCall } from './call.ts';

/** What a reduce node makes of notes, in tokens. */
export interface NoteMeasure {
  limitTokens: number;
  /** Tokens of the input without any note. */
  baseTokens: number;
  /** Tokens that this note adds. */
  noteTokens(note: Json): number;
  /** Whether all of these together fit. */
  fit(notes: readonly Json[]): boolean;
}

/** Room for what separates one note from the next. */
const SEPARATOR_TOKENS = 2;
/** No token of o200k is longer than 128 bytes, so a text with more characters than this per token cannot fit. */
const MAX_TOKEN_CHARACTERS = 128;

/**
 * Measures what the reduce node would send. A call is rendered, so its template decides what counts of a note; of any other
 * node, whose calls are not known beforehand, the notes themselves are measured.
 */
export function createNoteMeasure(run: Run, node: PlanNode, place: Place): NoteMeasure {
  const limitTokens = run.limits.reduceInputTokens;
  const inputTexts =
    node.type === 'call'
      ? (notes: readonly Json[]) => renderTexts(run, node, notes, place)
      : (notes: readonly Json[]) => notes.map(outputText);
  const count = createTokenCounter();
  const sumTokens = (texts: readonly string[], enough = Infinity) =>
    texts.reduce((sum, text) => (sum > enough ? sum : sum + count(text, enough - sum)), 0);
  const base = inputTexts([]);
  return {
    limitTokens,
    baseTokens: base === null ? Infinity : sumTokens(base),
    noteTokens: (note) => {
      const texts = inputTexts([note]);
      if (base === null || texts === null) return Infinity;
      return sumTokens(addedTexts(base, texts)) + SEPARATOR_TOKENS;
    },
    fit: (notes) => {
      const texts = inputTexts(notes);
      return texts !== null && mayFit(texts, limitTokens) && sumTokens(texts, limitTokens) <= limitTokens;
    },
  };
}

function mayFit(texts: readonly string[], limitTokens: number): boolean {
  let characters = 0;
  for (const text of texts) characters += text.length;
  return characters <= limitTokens * MAX_TOKEN_CHARACTERS;
}

/** What stands in the texts but not in the base: a long instruction is not counted again for each of 10,000 notes. */
function addedTexts(base: readonly string[], texts: readonly string[]): string[] {
  return texts.map((text, index) => {
    const before = base[index] ?? '';
    const room = Math.min(before.length, text.length);
    let start = 0;
    while (start < room && before.charCodeAt(start) === text.charCodeAt(start)) start += 1;
    let end = 0;
    while (
      end < room - start &&
      before.charCodeAt(before.length - 1 - end) === text.charCodeAt(text.length - 1 - end)
    ) {
      end += 1;
    }
    return text.slice(start, text.length - end);
  });
}

/** The texts of the call with these notes; null when one is larger than any text may be, which never fits. */
function renderTexts(run: Run, node: CallNode, notes: readonly Json[], place: Place): string[] | null {
  try {
    const request = renderCall(run, node, { ...place.scope, items: notes });
    return [request.system ?? '', ...request.messages.map((message) => message.content)];
  } catch (error) {
    if (error instanceof TextTooLarge) return null;
    if (!(error instanceof TemplateError)) throw error;
    throw nodeFailure('template_failed', `${place.path}.${error.message}`, place.path, place.after);
  }
}
