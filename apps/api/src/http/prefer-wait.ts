/** The longest that a request may wait for a job's end. */
const MAX_WAIT_MS = 60_000;

/**
 * The `wait` preference of RFC 7240 in milliseconds, at most 60 s; null when there is none. Unknown preferences and malformed ones
 * are ignored, as the RFC asks; of several `wait` the first counts.
 */
export function preferredWaitMs(header: string | string[] | undefined): number | null {
  const text = Array.isArray(header) ? header.join(',') : header;
  if (text === undefined) return null;
  for (const preference of text.split(',')) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?$/i.exec(preference);
    if (match) return Math.min(Number(match[1]) * 1_000, MAX_WAIT_MS);
  }
  return null;
}

/** The value of `Preference-Applied` for a wait that was granted. */
export function appliedWait(waitMs: number): string {
  return `wait=${waitMs / 1_000}`;
}
