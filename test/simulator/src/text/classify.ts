import { keyWordsOf, stemOf } from './sentences.ts';

/** A label that may be chosen, with the words that the prompt uses to describe it. */
interface Label {
  readonly name: string;
  readonly description: string;
}

/**
 * The labels that an instruction offers, or an empty list when it offers none: "one of: a, b, c",
 * "as a, b or c", "(a|b|c)", "labels: a, b", "yes or no".
 */
export function labelsIn(instruction: string): readonly Label[] {
  const listed = [...instruction.matchAll(/^\s*[-*•]\s*["'`]?(\w[\w -]{1,30}?)["'`]?\s*(?:[:–—]|$)/gm)].map(
    ([, name = '']) => name,
  );
  if (listed.length >= 2)
    return listed.map((name) => ({ name, description: describedAs(name, instruction) }));
  // "billing (payments, refunds) or sales (licences)": what stands in brackets describes.
  const bare = instruction.replace(/\s*\([^()]*\)(?=\s*(?:,|or\b|and\b|[.:;?\n]|$))/gi, '');
  for (const text of [bare, instruction]) {
    for (const pattern of PATTERNS) {
      const names = splitLabels(pattern.exec(text)?.[1] ?? '');
      if (names.length < 2) continue;
      return names.map((name) => ({ name, description: describedAs(name, instruction) }));
    }
  }
  return [];
}

const LABEL = String.raw`["'\x60“]?[\w][\w /&+-]{0,40}?["'\x60”]?`;
const LIST = String.raw`(${LABEL}(?:\s*(?:,\s*(?:or|and)?|\||\bor\b|\band\b|\/|\n\s*[-*•]?)\s*${LABEL})+)(?=\s*(?:[.:;?\n)\]]|$|\bonly\b))`;

const PATTERNS: readonly RegExp[] = [
  new RegExp(
    String.raw`\b(?:one of|either|exactly one of)(?: these| the following)?(?: \w+){0,3}?\s*[:(\[]?\s*(?:\n\s*[-*•]\s*)?${LIST}`,
    'i',
  ),
  new RegExp(
    String.raw`\b(?:labels?|categor(?:y|ies)|classes|options|choices|routes|queues)(?: are| is)?\s*[:=]\s*(?:\n\s*[-*•]\s*)?${LIST}`,
    'i',
  ),
  /\(\s*([\w-]+(?:\s*[|/,]\s*[\w-]+)+)\s*\)/,
  new RegExp(
    String.raw`\b(?:as|into|with|say|answer|reply|return|respond)(?: either| only| just| exactly)?\s*[:]?\s*${LIST}`,
    'i',
  ),
  /\b(?:is|are|whether)\b[^.\n]*?\b([\w-]+ or [\w-]+)\s*(?:[?.]|$)/i,
  /\b(yes or no)\b/i,
  new RegExp(String.raw`:\s*${LIST}`, 'i'),
];

function splitLabels(list: string): readonly string[] {
  const names = list
    .split(/\s*(?:,\s*(?:or|and)\b|,|\||\bor\b|\band\b|\/|\n\s*[-*•]?)\s*/i)
    .map((name) => name.replace(/^["'`“\s]+|["'`”\s.]+$/g, ''))
    .filter((name) => name !== '' && name.length <= 40 && name.split(' ').length <= 4);
  return [...new Set(names)];
}

/** "billing: payments and invoices" or "billing (payments)" anywhere in the instruction. */
function describedAs(name: string, instruction: string): string {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const found = new RegExp(
    String.raw`\b${escaped}["'\x60]?\s*(?:[:=–—-]|\(|means|for)\s*([^\n.;)]{3,200})`,
    'i',
  ).exec(instruction);
  return found?.[1] ?? '';
}

/** The label whose words, description and usual vocabulary meet the text most often. */
export function classify(text: string, labels: readonly Label[]): string {
  const words = keyWordsOf(text);
  let best = fallback(labels);
  let bestScore = 0;
  for (const label of labels) {
    const score = scoreOf(label, words);
    if (score <= bestScore) continue;
    best = label.name;
    bestScore = score;
  }
  return best;
}

function fallback(labels: readonly Label[]): string {
  const names = labels.map(({ name }) => name);
  const neutral = names.find((name) =>
    /^(?:other|none|neutral|unknown|general|misc\w*|default|mixed|normal|medium|no)$/i.test(name),
  );
  return neutral ?? names[0] ?? '';
}

function scoreOf(label: Label, words: readonly string[]): number {
  const named = new Set(keyWordsOf(label.name.replace(/[_-]/g, ' ')));
  const described = new Set(keyWordsOf(label.description));
  const usual = new Set<string>();
  for (const [topic, vocabulary] of Object.entries(VOCABULARY)) {
    if (label.name.toLowerCase().includes(topic))
      for (const word of vocabulary.split(' ')) usual.add(stemOf(word));
  }
  let score = 0;
  for (const word of words) {
    if (named.has(word)) score += 3;
    else if (described.has(word)) score += 1.5;
    else if (usual.has(word)) score += 1;
  }
  return score;
}

/** What people write about when they mean a common label. */
const VOCABULARY: Readonly<Record<string, string>> = {
  billing:
    'invoice charge charged refund payment pay paid card credit price subscription receipt money bank fee twice cost',
  refund: 'money back return returned charge charged paid payment',
  technical:
    'error crash bug login password screen install update browser app server broken freeze loading slow fail failed code wifi connect',
  support: 'help problem broken error question issue work working',
  bug: 'error crash broken fail failed freeze wrong unexpected',
  feature: 'add would like wish request support option ability suggest',
  sales: 'buy purchase quote plan plans upgrade demo license seats discount enterprise trial pricing',
  shipping:
    'parcel package delivery delivered courier tracking late arrive arrived address order shipment post',
  delivery: 'parcel package delivered courier tracking late arrive arrived address order shipment',
  account: 'login password email username profile locked sign delete settings',
  complaint: 'angry terrible awful unacceptable disappointed worst rude complain never waiting',
  cancel: 'cancel cancellation stop end terminate unsubscribe',
  positive:
    'good great excellent love loved wonderful happy pleased amazing best perfect thanks thank enjoyed fantastic delighted',
  negative:
    'bad terrible awful hate hated poor angry disappointed worst broken sad horrible useless slow wrong fail failed cold rude dirty late delay frustrating waste',
  urgent: 'immediately asap urgent now today emergency critical down outage blocked deadline',
  high: 'immediately asap urgent emergency critical outage blocked deadline severe',
  low: 'whenever minor small someday cosmetic',
  spam: 'winner prize free click offer lottery viagra loan casino',
  code: 'function class compile python javascript typescript bug loop variable program script',
  math: 'sum equation calculate number integral multiply plus percent average solve',
  legal: 'contract law court clause liability agreement lawyer sue license terms',
  medical: 'doctor patient pain disease symptom treatment hospital medicine',
  sport: 'match goal team player league score season coach',
  politics: 'election government minister parliament vote president policy',
  business: 'market company profit revenue shares investor sales economy bank',
  science: 'research study scientists experiment species energy planet cells',
  fiction: 'story chapter novel character said whispered dream',
  yes: 'yes correct true indeed certainly right',
};
