import { randomBytes } from 'node:crypto';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** What each public id begins with; the rest is a ULID in lower case (48 bits of time, 80 of randomness). */
export const idPrefixes = {
  job: 'job',
  event: 'evt',
  file: 'file',
  batch: 'batch',
  providerBatch: 'pb',
  webhookEndpoint: 'whk',
  delivery: 'dlv',
  attempt: 'att',
} as const;

export type IdKind = keyof typeof idPrefixes;

/**
 * A new id such as `job_01jd…`: sortable by creation to the millisecond, unique without coordination.
 * `now` is in milliseconds since 1970; clock and randomness are parameters for tests.
 */
export function createId(
  kind: IdKind,
  now: number = Date.now(),
  random: Uint8Array = randomBytes(10),
): string {
  let time = '';
  for (let rest = now, position = 0; position < 10; position += 1) {
    time = CROCKFORD.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  let tail = '';
  let bits = 0;
  let buffer = 0;
  for (const byte of random) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      tail += CROCKFORD.charAt((buffer >> bits) & 31);
    }
    buffer &= (1 << bits) - 1;
  }
  return `${idPrefixes[kind]}_${time}${tail}`;
}

/** Whether a text has the form of an id of this kind; says nothing about its existence. */
export function isId(kind: IdKind, text: string): boolean {
  return new RegExp(`^${idPrefixes[kind]}_[0-9a-hjkmnp-tv-z]{26}$`).test(text);
}
