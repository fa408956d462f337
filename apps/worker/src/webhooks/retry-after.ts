/** A `Retry-After` header (RFC 9110: seconds or a date) as milliseconds from now; null when it says nothing usable. */
export function parseRetryAfterMs(header: string | undefined, now: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000;
  // Date.parse alone takes "-5" for a year.
  const at = /^[A-Z][a-z]{2,8}, .+ GMT$/.test(header.trim()) ? Date.parse(header) : NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
