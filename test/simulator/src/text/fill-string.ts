import { numberOf, stringOf, type JsonObject } from '../json-value.ts';
import type { Extracts } from './fill-schema.ts';
import { sampleOfPattern } from './sample-pattern.ts';
import { finished, summarise } from './summarise.ts';
import { placeNamesIn, properNamesIn } from './proper-names.ts';
import { titleOf } from './title.ts';

/** A string that fits the schema: of the format, the pattern and the lengths, and of the kind its name suggests. */
export function fillString(schema: JsonObject, extracts: Extracts, name: string): string {
  const pattern = stringOf(schema['pattern']);
  if (pattern !== null) return fromPattern(pattern, extracts);
  const format = stringOf(schema['format']);
  const formatted = format === null ? null : fromFormat(format, extracts);
  if (formatted !== null) return formatted;
  return fitLength(byName(schema, extracts, name), schema);
}

function byName(schema: JsonObject, extracts: Extracts, name: string): string {
  const hint = `${name} ${stringOf(schema['description']) ?? ''}`;
  const { sentences, topics, text, used } = extracts;
  if (/\b(?:titles?|headlines?|heading|subject)\b/i.test(spaced(name)))
    return titleOf(extracts.sentences.slice(used).concat(text).join(' '));
  if (/\b(?:tags?|keywords?|topics?|themes?|terms?|category|slug)\b/i.test(spaced(name))) {
    return topics[used % Math.max(1, topics.length)] ?? 'general';
  }
  if (
    /\b(?:names?|persons?|people|characters?|author|organi[sz]ations?|entit(?:y|ies))\b/i.test(spaced(name))
  ) {
    const names = properNamesIn(text);
    return names[used % Math.max(1, names.length)] ?? topics[used] ?? 'unknown';
  }
  if (/\b(?:places?|locations?|cit(?:y|ies)|countr(?:y|ies))\b/i.test(spaced(name))) {
    const places = placeNamesIn(text);
    return places[used % Math.max(1, places.length)] ?? topics[used] ?? 'unknown';
  }
  if (/\b(?:date|when)\b/i.test(spaced(name))) return dateIn(text) ?? 'not stated';
  if (/\bemail\b/i.test(name)) return /[\w.+-]+@[\w-]+\.[\w.]+/.exec(text)?.[0] ?? 'unknown@example.com';
  if (
    /\b(?:summary|overview|abstract|answer|conclusion|reply|response|text|description)\b/i.test(spaced(name))
  ) {
    return summarise(text, { maxSentences: 3, maxCharacters: 480 });
  }
  if (/\b(?:language)\b/i.test(hint)) return 'en';
  return finished(sentences[used % Math.max(1, sentences.length)] ?? (text.trim() || 'not stated'));
}

function spaced(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, '$1 $2').replace(/[_-]/g, ' ');
}

function dateIn(text: string): string | null {
  const found =
    /\b\d{4}-\d{2}-\d{2}\b/.exec(text) ??
    /\b\d{1,2}(?:st|nd|rd|th)?(?: of)? (?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{4})?\b/.exec(
      text,
    ) ??
    /\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}(?:, \d{4})?\b/.exec(
      text,
    ) ??
    /\b(?:\w+ of )?(?:January|February|March|April|May|June|July|August|September|October|November|December),? \d{4}\b/.exec(
      text,
    ) ??
    /\b(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\b/.exec(text);
  return found?.[0] ?? null;
}

function fromFormat(format: string, { text }: Extracts): string | null {
  switch (format) {
    case 'date':
      return /\b\d{4}-\d{2}-\d{2}\b/.exec(text)?.[0] ?? '2026-01-15';
    case 'date-time':
      return `${/\b\d{4}-\d{2}-\d{2}\b/.exec(text)?.[0] ?? '2026-01-15'}T09:00:00Z`;
    case 'time':
      return '09:00:00Z';
    case 'duration':
      return 'P1D';
    case 'email':
      return /[\w.+-]+@[\w-]+\.\w[\w.]*\w/.exec(text)?.[0] ?? 'someone@example.com';
    case 'uri':
    case 'url':
      return /https?:\/\/[^\s<>"')]+/.exec(text)?.[0] ?? 'https://example.com/';
    case 'uuid':
      return '5f0c2b9e-3d41-4c57-9a52-7e1f0a6b8c3d';
    case 'hostname':
      return 'example.com';
    case 'ipv4':
      return '192.0.2.1';
    case 'ipv6':
      return '2001:db8::1';
    default:
      return null;
  }
}

function fromPattern(pattern: string, extracts: Extracts): string {
  try {
    const found = new RegExp(pattern.replace(/^\^|\$$/g, ''), 'u').exec(extracts.text)?.[0];
    if (found !== undefined && found !== '' && new RegExp(pattern, 'u').test(found)) return found;
  } catch {
    // A pattern that this engine cannot read is sampled as far as it is understood.
  }
  return sampleOfPattern(pattern);
}

function fitLength(text: string, schema: JsonObject): string {
  const minimum = numberOf(schema['minLength']) ?? 0;
  const maximum = numberOf(schema['maxLength']) ?? Number.POSITIVE_INFINITY;
  let fitted = text;
  if (fitted.length > maximum) {
    const cut = fitted.slice(0, maximum);
    const space = cut.lastIndexOf(' ');
    fitted = space > maximum / 2 ? cut.slice(0, space) : cut;
  }
  while (fitted.length < minimum) fitted = `${fitted} ${text || 'text'}`.slice(0, Math.max(minimum, 1));
  return fitted;
}
