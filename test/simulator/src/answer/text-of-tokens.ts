import type { TokenCounter } from '../token-counter.ts';

const PASSAGE =
  'The river carries the water to the mill, and the race leads it to the wheel at the rate that the wheel can take. ' +
  'When the rain comes in bursts, the pond above the gate holds what cannot pass yet. ' +
  'The miller opens the gate a little, and a full and steady stream goes on through the day. ';

/** Prose of exactly this many tokens. */
export function textOfTokens(count: number, counter: TokenCounter): string {
  if (count === 0) return '';
  const passage = counter.cut(PASSAGE.repeat(4));
  const tokens: string[] = [];
  while (tokens.length < count) tokens.push(...passage.slice(0, count - tokens.length));
  return tokens.join('');
}
