/** Capitalised words that also stand inside sentences, the most frequent first. */
export function properNamesIn(text: string): readonly string[] {
  const counts = new Map<string, number>();
  for (const [, found] of text.matchAll(
    /(?<=[\p{Ll},;]\s)((?:\p{Lu}[\p{Ll}'’]+)(?:\s\p{Lu}[\p{Ll}'’]+){0,2})/gu,
  )) {
    if (found === undefined || CALENDAR.test(found)) continue;
    // A name of two words is more surely a name.
    counts.set(found, (counts.get(found) ?? 0) + (found.includes(' ') ? 2 : 1));
  }
  return [...counts.entries()].sort((left, right) => right[1] - left[1]).map(([found]) => found);
}

const CALENDAR =
  /^(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|January|February|March|April|May|June|July|August|September|October|November|December)$/;

/** Names that stand behind a word of place, the most frequent first. */
export function placeNamesIn(text: string): readonly string[] {
  const found = [
    ...text.matchAll(
      /\b(?:in|at|from|through|near|across) (?:the )?((?:\p{Lu}[\p{Ll}'’]+)(?:\s\p{Lu}[\p{Ll}'’]+)?)/gu,
    ),
  ]
    .map(([, name = '']) => name)
    .filter((name) => !CALENDAR.test(name));
  return [...new Set(found)].sort((left, right) => countOf(text, right) - countOf(text, left));
}

function countOf(text: string, name: string): number {
  return text.split(name).length - 1;
}
