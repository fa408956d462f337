import { createHash } from 'node:crypto';

/** The same for the same set of ids, in whatever order they came. */
export function hashIds(ids: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const id of [...ids].sort()) hash.update(`${id}\n`);
  return hash.digest('hex');
}
