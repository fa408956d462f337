import type { Options } from 'ajv';

type RegExpEngine = NonNullable<NonNullable<Options['code']>['regExp']>;

/** Longer texts do not match a pattern at all: a pattern's time may grow with the square of the text. */
const MAX_MATCHED_CHARACTERS = 10_000;

/** The regular expressions of output schemas; what they are matched against is bounded. */
export const boundedRegExp: RegExpEngine = Object.assign(
  (pattern: string, flags: string) => {
    const expression = new RegExp(pattern, flags);
    return { test: (text: string) => text.length <= MAX_MATCHED_CHARACTERS && expression.test(text) };
  },
  // ajv writes this into code that is saved to a file, which is never done here.
  { code: 'boundedRegExp' },
);
