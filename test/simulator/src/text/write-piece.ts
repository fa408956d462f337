import { keyWordsOf, sentencesOf, topicsOf } from './sentences.ts';
import { finished, rankSentences } from './summarise.ts';

/** A polite answer to somebody's message, which takes up what it says. */
export function replyTo(message: string): string {
  const sentences = sentencesOf(message).filter(
    (sentence) => !/^(?:hello|hi|dear|thanks|thank you|regards|best)\b.{0,30}$/i.test(sentence),
  );
  const point = sentences[rankSentences(sentences)[0] ?? 0] ?? message;
  const quoted = finished(point.replace(/^(?:hello|hi|dear \w+)[,!]?\s+/i, '')).replace(/[.!?]+$/, '');
  return `Thank you for your message. You told us: “${quoted}”. We have passed this on to the right colleague, who will look into it and come back to you today.`;
}

/** The option that says most, when the text offers lettered or numbered ones; its label when only that is asked for. */
export function bestOption(text: string, instruction: string): string | null {
  const options = [
    ...text.matchAll(
      /^\s*(?:(?:answer|option|candidate)\s+)?([A-Z]|\d{1,2}|[a-z]\w{2,30})\s*[:.)]\s+(\S[\s\S]*?)(?=\n\s*(?:(?:answer|option|candidate)\s+)?(?:[A-Z]|\d{1,2}|[a-z]\w{2,30})\s*[:.)]\s|$(?![\s\S]))/gim,
    ),
  ];
  if (options.length < 2) return null;
  let best = options[0];
  for (const option of options) {
    if (new Set(keyWordsOf(option[2] ?? '')).size > new Set(keyWordsOf(best?.[2] ?? '')).size) best = option;
  }
  const labelOnly =
    /\b(?:letter|number|label|name) (?:of|only)\b|\bonly the (?:letter|number|label|name)\b/i.test(
      instruction,
    );
  return (labelOnly ? best?.[1] : best?.[2]?.trim()) ?? null;
}

/** A few sentences on what an order without any text is about. */
export function pieceAbout(order: string): string {
  if (/\b(?:say|greet)\b.*\b(?:hello|hi|hey)\b|^(?:hello|hi|hey)\b/i.test(order))
    return 'Hello! How can I help you today?';
  const topics = topicsOf(order.replace(ORDER_WORDS, ''), 2);
  const [topic] = topics;
  if (topic === undefined) return 'Certainly. Here is what you asked for, in a few plain words.';
  const both = topics.join(' and ');
  const Both = both.charAt(0).toUpperCase() + both.slice(1);
  return `${Both}: a subject with more to it than one first sees. Whoever looks closely at ${topic} finds patience, change and a quiet order in it. That is reason enough to look again.`;
}

const ORDER_WORDS =
  /\b(?:write|compose|draft|create|generate|give|tell|make|produce|please|short|brief|long|haiku|poem|story|text|paragraph|essay|about|sentence|sentences|number|explain|describe|joke)\b/gi;
