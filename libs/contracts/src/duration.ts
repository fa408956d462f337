const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `"90s"`, `"15m"`, `"2h"`, `"1d"`, `"1h30m"` → milliseconds; null when the text is not a duration. */
export function parseDurationMs(text: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return null;
  let total = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(part[1]) * UNIT_MS[part[2] as keyof typeof UNIT_MS];
  }
  return total > 0 && Number.isFinite(total) ? Math.round(total) : null;
}

/** A duration or an RFC 3339 instant → milliseconds since 1970, counted from `now`; null when it is neither. */
export function parseDeadlineAt(text: string, now: number): number | null {
  const duration = parseDurationMs(text);
  if (duration !== null) return now + duration;
  if (!/^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:\d\d)$/.test(text)) return null;
  const instant = Date.parse(text);
  return Number.isNaN(instant) ? null : instant;
}
