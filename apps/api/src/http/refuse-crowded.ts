import { ProblemError } from '@millrace/contracts';

/** A hundred times what a plan of a thousand nodes has. */
const MOST_MEMBERS = 100_000;

/**
 * Refuses (`validation_failed`) a value with more members of objects and arrays than any request has, its data left out. A schema
 * makes a note of each that is wrong, and a body of some megabytes could hold millions of them.
 */
export function refuseCrowded(value: unknown): void {
  let members = 0;
  const walk = (each: unknown, path: readonly string[]): void => {
    if (typeof each !== 'object' || each === null) return;
    const entries = Object.entries(each);
    members += entries.length;
    if (members > MOST_MEMBERS) throw crowded(path);
    for (const [name, inner] of entries) if (!isData(path, name, inner)) walk(inner, [...path, name]);
  };
  walk(value, []);
}

/** The client's own data, of any shape, at the places where the contract has it. */
function isData(path: readonly string[], name: string, value: unknown): boolean {
  if (path.length === 0 && (name === 'input' || name === 'params')) return true;
  if (name === 'items') return Array.isArray(value);
  return name === 'schema' && path.at(-1) === 'output';
}

function crowded(path: readonly string[]): ProblemError {
  const shown = path.map((name) => name.slice(0, 100)).join('.');
  return new ProblemError('validation_failed', 'The request has more members than any that fits.', {
    errors: [{ path: shown, message: `too many members; ${MOST_MEMBERS} are the most in all` }],
  });
}
