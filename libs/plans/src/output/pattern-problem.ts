const MAX_PATTERN_CHARACTERS = 1_000;

/**
 * Why a regular expression may not be used, null when it may. Refused are those whose time can grow exponentially with the
 * text: a repeated group that itself repeats something or has alternatives of which one can begin like another, and
 * references back. It is a rule of thumb that also refuses some harmless ones; what gets through and is slow all the same
 * (bounded repetitions in each other, many repetitions in a row) is broken off by the time limit on every check.
 */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > MAX_PATTERN_CHARACTERS)
    return `a pattern may have ${MAX_PATTERN_CHARACTERS} characters`;
  try {
    new RegExp(pattern, 'u');
  } catch {
    return 'the pattern is not a regular expression';
  }
  if (/\\(?:[1-9]|k<)/.test(pattern.replaceAll('\\\\', ''))) return 'a pattern may not refer back to a group';
  return hasNestedRepetition(pattern) ? 'a repeated group may not contain repetitions or alternatives' : null;
}

/** Whether a group that is repeated without a small bound contains an unbounded repetition or an alternative. */
function hasNestedRepetition(pattern: string): boolean {
  const groups: { isOpen: boolean }[] = [{ isOpen: false }];
  const scan = pattern.replace(/\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|[^])/g, 'x').replace(/\[[^\]]*\]/g, 'x');
  for (let index = 0; index < scan.length; index += 1) {
    const character = scan[index];
    const group = groups.at(-1);
    if (character === '(') groups.push({ isOpen: false });
    else if (character === '|' && group) group.isOpen = true;
    else if (character === ')') {
      const closed = groups.pop();
      const outer = groups.at(-1);
      if (closed?.isOpen && isRepetition(scan, index + 1)) return true;
      if (closed?.isOpen && outer) outer.isOpen = true;
    }
    if (group && isRepetition(scan, index + 1) && character !== '(') {
      const current = groups.at(-1);
      if (current) current.isOpen = true;
    }
  }
  return false;
}

/** Whether `*`, `+` or `{n,}` (or a bound above 16) stands here. */
function isRepetition(scan: string, index: number): boolean {
  const character = scan[index];
  if (character === '*' || character === '+') return true;
  const bounds = /^\{(\d+)(?:(,)(\d*))?\}/.exec(scan.slice(index, index + 24));
  if (!bounds) return false;
  const [, least, comma, most] = bounds;
  if (comma === undefined) return Number(least) > 16;
  return most === '' || Number(most) > 16;
}
