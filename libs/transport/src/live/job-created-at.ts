const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** When a job was created, in milliseconds since 1970, as its id says; null when that is no id of ours. */
export function jobCreatedAt(jobId: string): number | null {
  const time = /^job_([0-9a-hjkmnp-tv-z]{10})/.exec(jobId)?.[1];
  if (time === undefined) return null;
  return [...time].reduce((sum, digit) => sum * 32 + CROCKFORD.indexOf(digit), 0);
}
