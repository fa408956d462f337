const UNIT_MS: Record<string, number> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
  ns: 0.000_001,
};

/** A Go duration, as OpenAI's reset headers have it (`20ms`, `1s`, `6m0s`), in milliseconds; null when it is none. */
export function parseGoDurationMs(text: string): number | null {
  if (text === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) {
    totalMs += Number(amount) * (UNIT_MS[unit] ?? 0);
  }
  return Math.ceil(totalMs);
}

/** Milliseconds from now to an RFC 3339 instant, 0 when it has passed; null when it is none. */
export function parseInstantMs(text: string, nowMs: number): number | null {
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
