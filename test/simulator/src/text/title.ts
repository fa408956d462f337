import { properNamesIn } from './proper-names.ts';
import { sentencesOf } from './sentences.ts';
import { rankSentences } from './summarise.ts';

/** A headline: the first clause that stands alone among the most telling sentences, else the names in the text. */
export function titleOf(text: string): string {
  const sentences = sentencesOf(text);
  for (const index of rankSentences(sentences).slice(0, 4)) {
    const clause = (sentences[index] ?? '').split(/[,;:.!?—–(]/)[0]?.trim() ?? '';
    const words = clause.split(/\s+/);
    if (words.length >= 4 && /^(?:The|A|An|\p{Lu}[\p{Ll}]+s?)\b/u.test(clause) && !POINTING.test(clause))
      return cut(words);
  }
  const names = properNamesIn(text);
  if (names.length >= 2) return `${names[0] ?? ''} and ${names[1] ?? ''}`;
  return cut((sentences[0] ?? text).split(/\s+/));
}

const POINTING =
  /^(?:I|He|She|It|They|We|You|My|His|Her|Their|Our|This|That|These|Those|There|As|In|To|On|At|But|And|For|When|While|If|One|All|Obviously|Never|Such)\b/;
const WEAK_END =
  /^(?:the|a|an|of|and|in|to|with|on|at|his|her|its|their|was|were|is|for|by|from|had|has|that|as|or|on)$/i;

/** At most nine words, not ending in one that leads on. */
function cut(words: readonly string[]): string {
  const kept = words.slice(0, 9);
  while (kept.length > 3 && WEAK_END.test(kept.at(-1) ?? '')) kept.pop();
  const title = kept.join(' ').replace(/["'“”‘’.,;:]+$|^["'“‘]+/g, '');
  return title.charAt(0).toUpperCase() + title.slice(1);
}
