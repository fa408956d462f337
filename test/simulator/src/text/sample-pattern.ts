/**
 * A string that fits a simple regular expression: literals, classes, groups, alternatives (the first is
 * taken) and quantifiers (the smallest count, but one for `*`). Lookarounds and back references are passed over.
 */
export function sampleOfPattern(pattern: string): string {
  return readAlternatives({ pattern, at: 0 });
}

interface Reader {
  readonly pattern: string;
  at: number;
}

function readAlternatives(reader: Reader): string {
  let first: string | null = null;
  let current = '';
  while (reader.at < reader.pattern.length) {
    const character = reader.pattern[reader.at] ?? '';
    if (character === ')') break;
    reader.at += 1;
    if (character === '|') {
      first ??= current;
      current = '';
    } else if (character !== '^' && character !== '$') {
      current += repeated(readAtom(character, reader), reader);
    }
  }
  return first ?? current;
}

function readAtom(character: string, reader: Reader): string {
  switch (character) {
    case '(': {
      const prefix = /^\?(?::|<[^=!>]+>)/.exec(reader.pattern.slice(reader.at));
      const lookaround = /^\?<?[=!]/.test(reader.pattern.slice(reader.at));
      if (prefix !== null) reader.at += prefix[0].length;
      const inner = readAlternatives(reader);
      reader.at += 1;
      return lookaround ? '' : inner;
    }
    case '[':
      return readClass(reader);
    case '\\':
      return readEscape(reader);
    case '.':
      return 'a';
    default:
      return character;
  }
}

function readEscape(reader: Reader): string {
  const character = reader.pattern[reader.at] ?? '';
  reader.at += 1;
  if (character === 'p' || character === 'P') {
    const property = /^\{[^}]*\}/.exec(reader.pattern.slice(reader.at))?.[0] ?? '';
    reader.at += property.length;
    return /Lu/.test(property) ? 'A' : /N/.test(property) ? '1' : 'a';
  }
  const samples: Readonly<Record<string, string>> = {
    d: '1',
    w: 'a',
    s: ' ',
    D: 'a',
    W: '-',
    S: 'a',
    b: '',
    B: '',
    n: '\n',
    t: '\t',
  };
  return samples[character] ?? character;
}

function readClass(reader: Reader): string {
  const end = reader.pattern.indexOf(']', reader.at + 1);
  const body = reader.pattern.slice(reader.at, end < 0 ? undefined : end);
  reader.at = end < 0 ? reader.pattern.length : end + 1;
  if (body.startsWith('^')) {
    const refused = new RegExp(`[${body.slice(1)}]`, 'u');
    return ['a', '1', 'A', '-', ' '].find((each) => !refused.test(each)) ?? '_';
  }
  return body.startsWith('\\') ? readEscape({ pattern: body, at: 1 }) : body.charAt(0);
}

function repeated(atom: string, reader: Reader): string {
  const quantifier = /^(?:\*|\+|\?|\{(\d+)(?:,\d*)?\})\??/.exec(reader.pattern.slice(reader.at));
  if (quantifier === null) return atom;
  reader.at += quantifier[0].length;
  if (quantifier[0].startsWith('?')) return '';
  return atom.repeat(quantifier[1] === undefined ? 1 : Number(quantifier[1]));
}
