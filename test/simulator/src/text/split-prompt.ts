/** A prompt in two parts: what is asked, and what it is asked about. */
export interface SplitPrompt {
  readonly instruction: string;
  readonly data: string;
}

/**
 * Finds the data of a prompt by its shape: a fenced or tagged block; the text below a line that ends in a
 * colon; the text behind "do this: "; otherwise what remains when sentences that order something are taken
 * away. With nothing left the whole prompt is data.
 */
export function splitPrompt(prompt: string): SplitPrompt {
  const text = prompt.trim();
  const { instruction, data } =
    fenced(text) ?? belowColon(text) ?? belowOrder(text) ?? behindColon(text) ?? withoutOrders(text);
  return { instruction, data: data.replace(NAME_OF_DATA, '') };
}

/** "Ticket: …" names the data and is no part of it. */
const NAME_OF_DATA =
  /^(?:ticket|text|message|e-?mail|review|input|document|request|notes?|article|customer|context|content|topic|subject):\s+/i;

const BLOCKS: readonly RegExp[] = [
  /```[a-z]*\n([\s\S]+?)```/i,
  /"""([\s\S]+?)"""/,
  /<([a-z_][\w-]*)(?:\s[^>]*)?>([\s\S]+?)<\/\1>/i,
];

function fenced(text: string): SplitPrompt | null {
  for (const block of BLOCKS) {
    const found = block.exec(text);
    const data = found?.[found.length - 1]?.trim() ?? '';
    if (found === null || data.length < text.length * 0.3) continue;
    return { instruction: text.replace(found[0], ' ').trim(), data };
  }
  return null;
}

/** The last line ending in a colon among the first lines that are not prose. */
function belowColon(text: string): SplitPrompt | null {
  const lines = text.split('\n');
  let end = -1;
  for (const [index, line] of lines.entries()) {
    if (index > 11) break;
    const trimmed = line.trim();
    if (trimmed.endsWith(':') && trimmed.length < 500 && (index === 0 || ORDER.test(text))) end = index;
    if (/^\s*[-*•]\s/.test(line) || trimmed.length > 500) break;
  }
  if (end < 0 || end === lines.length - 1) return null;
  const { body, tail } = withoutTail(lines.slice(end + 1));
  if (body.trim() === '') return null;
  return { instruction: [...lines.slice(0, end + 1), tail].join('\n').trim(), data: body.trim() };
}

/** A first paragraph that orders or asks, with more paragraphs below it. */
function belowOrder(text: string): SplitPrompt | null {
  const [first = '', ...rest] = text.split(/\n\s*\n/);
  if (rest.length === 0 || first.length > 500 || !(ORDER.test(first.trim()) || first.trim().endsWith('?')))
    return null;
  const { body, tail } = withoutTail(rest.join('\n\n').split('\n'));
  return body.trim() === '' ? null : { instruction: `${first}\n${tail}`.trim(), data: body.trim() };
}

/** Orders may also stand below the data: "…\n\nAnswer with one word." */
function withoutTail(lines: readonly string[]): { body: string; tail: string } {
  const paragraphs = lines.join('\n').split(/\n\s*\n/);
  const last = paragraphs.at(-1)?.trim() ?? '';
  if (paragraphs.length < 2 || last.length > 400 || !ORDER.test(last))
    return { body: lines.join('\n'), tail: '' };
  return { body: paragraphs.slice(0, -1).join('\n\n'), tail: last };
}

function behindColon(text: string): SplitPrompt | null {
  const colon = /:\s/.exec(text.slice(0, 400));
  if (colon === null || !ORDER.test(text.slice(0, colon.index))) return null;
  // "Answer with one of: a, b, c." is part of the order; the data begins behind the next sentence.
  const rest = text.slice(colon.index + 1).trim();
  if (/\b(?:one of|labels?|categories|options|choices|either)$/i.test(text.slice(0, colon.index))) {
    const bound = /[.\n]\s*/.exec(rest);
    if (bound === null || bound.index + bound[0].length >= rest.length) return null;
    const cut = bound.index + bound[0].length;
    const inner = splitPrompt(rest.slice(cut));
    const instruction = `${text.slice(0, colon.index + 1)} ${rest.slice(0, cut)}\n${inner.instruction}`;
    return { instruction, data: inner.data };
  }
  const data = rest.replace(SIDE_NOTE, '').trim();
  return data === '' ? null : { instruction: text.slice(0, colon.index + 1), data };
}

/** "Audience: residents." in the middle of a prompt is no data. */
const SIDE_NOTE = /(?<=[.!?]\s)(?:Audience|Tone|Length|Style|Format|Language): [^.\n]*\.?/g;

function withoutOrders(text: string): SplitPrompt {
  const parts = text.split(/(?<=[.!?])\s+|\n+/);
  const orders = parts.filter((part) => ORDER.test(part.trim()) && part.length < 300);
  const data = parts.filter((part) => !orders.includes(part)).join(' ');
  if (orders.length === 0 || data.trim() === '') return { instruction: '', data: text };
  return { instruction: orders.join(' '), data };
}

/** Begins like an order to a model. */
export const ORDER =
  /^(?:please\s+|now\s+|then\s+|you (?:are|will|must|should)\b|your task\b|in (?:one|two|three|at most|no more)[^.,]{0,30},\s*)*(?:you\b|summari[sz]e|classify|extract|combine|merge|write|list|answer|reply|respond|return|give|describe|explain|translate|rewrite|decide|judge|choose|pick|select|rate|score|name|find|identify|label|categori[sz]e|route|draft|compose|produce|create|generate|tell|state|compare|analy[sz]e|read|do not|don't|use|keep|only|output|format|make|turn|improve|shorten|condense|outline|suggest|propose|plan|check|review|correct|repeat|say|what|which|here (?:is|are)|the following|below|using (?:the|this|these|only)|based on|given the (?:following|text|context|notes)|from the (?:following|text|context|notes)|is (?:the|this)|are (?:the|these)|(?:audience|tone|length|style|format|topic)\b(?=:))\b/i;
