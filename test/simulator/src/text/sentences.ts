/** Cuts prose into sentences; list items and paragraphs are bounds too. Abbreviations may cut too early. */
export function sentencesOf(text: string): readonly string[] {
  const sentences: string[] = [];
  for (const paragraph of text.split(/\n\s*\n|\n(?=\s*(?:[-*•]|\d+[.)])\s)/)) {
    const line = paragraph
      .replace(/\s+/g, ' ')
      .replace(/^\s*(?:[-*•]|\d+[.)]|#+)\s+/, '')
      .trim();
    if (line === '') continue;
    for (const sentence of line.match(SENTENCE) ?? []) {
      const trimmed = sentence.trim();
      if (/\p{L}/u.test(trimmed)) sentences.push(trimmed);
    }
  }
  return sentences;
}

/** Not after titles and initials (Mr., Dr., J.), and only where a capital, a quote or the end follows. */
const SENTENCE =
  /.+?(?:(?<!\b(?:Mr|Mrs|Ms|Dr|St|No|vs|etc|e\.g|i\.e|[A-Z]))[.!?]["'”’)\]]*(?=\s+["'“‘(]?[\p{Lu}\d]|\s*$)|$)/gsu;

/** Lower-case words of three letters or more, stemmed crudely, without stop words. */
export function keyWordsOf(text: string): readonly string[] {
  const words: string[] = [];
  for (const [word] of text.toLowerCase().matchAll(/\p{L}[\p{L}\p{N}'’-]+/gu)) {
    if (word.length < 3 || STOP_WORDS.has(word)) continue;
    words.push(stemOf(word));
  }
  return words;
}

/** Enough of a stem that "charged", "charges" and "charge" meet. */
export function stemOf(word: string): string {
  const plain = word.toLowerCase().replace(/['’]s?$/, '');
  if (plain.length <= 4) return plain.length === 4 && plain.endsWith('s') ? plain.slice(0, -1) : plain;
  return plain.replace(/(?:ations?|ingly|ings?|edly|ed|ies|es|s|ly|e|y)$/, '');
}

/** How often each key word occurs. */
export function frequenciesOf(words: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** The most frequent key words in a form that occurs in the text, best first. */
export function topicsOf(text: string, count: number): readonly string[] {
  const forms = new Map<string, { form: string; count: number }>();
  for (const [word] of text.matchAll(/\p{L}[\p{L}\p{N}'’-]+/gu)) {
    if (word.length < 4 || STOP_WORDS.has(word.toLowerCase())) continue;
    const stem = stemOf(word);
    const known = forms.get(stem);
    if (known === undefined) forms.set(stem, { form: word.toLowerCase().replace(/['’]s?$/, ''), count: 1 });
    else known.count += 1;
  }
  return [...forms.values()]
    .sort((left, right) => right.count - left.count)
    .slice(0, count)
    .map(({ form }) => form);
}

const STOP_WORDS: ReadonlySet<string> = new Set(
  (
    'about above after again against all also although always among and any are around because been before being ' +
    'below between both but can cannot could did does doing down during each either else even ever every few for ' +
    'from further get got had has have having her here hers herself him himself his how however into its itself ' +
    'just least less like made make many may might more most much must myself neither never nor not now off often ' +
    'once one only other our ours out over own per please quite rather really said same say says shall she should ' +
    'since some still such than that the their theirs them themselves then there these they thing things this those ' +
    'though through thus too under until upon very was way well were what when where whether which while who whom ' +
    'whose why will with within without would yet you your yours yourself two three came come went going know ' +
    'thought think look looked seemed seem take took let hello dear thanks thank please regards attached don didn isn wasn won couldn wouldn'
  ).split(' '),
);
