import type { Dimension } from '../domain/domain-limits.ts';

/** Dimensions as the scripts and the fields of a book name them: short, since there is a field for each slice. */
export const dimensionLetters = {
  requests: 'r',
  tokens: 't',
  inputTokens: 'i',
  outputTokens: 'o',
} as const satisfies Record<Dimension, string>;

/** The dimension of a letter; throws on one that is none, which no script of ours answers. */
export function dimensionOfLetter(letter: string): Dimension {
  for (const [dimension, each] of Object.entries(dimensionLetters)) {
    if (each === letter) return dimension as Dimension;
  }
  throw new Error(`"${letter}" stands for no dimension`);
}
