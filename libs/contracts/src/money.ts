/** Millionths of a US dollar, a whole number: prices per million tokens stay exact. */
export type MicroUsd = number;

/** `1234567` → `"1.234567"`: at least four digits after the point, never an exponent. */
export function formatUsd(microUsd: MicroUsd): string {
  const whole = Math.trunc(microUsd / 1_000_000);
  const fraction = String(Math.abs(microUsd % 1_000_000)).padStart(6, '0');
  const shown = fraction.replace(/0{1,2}$/, '');
  const sign = microUsd < 0 && whole === 0 ? '-' : '';
  return `${sign}${whole}.${shown}`;
}

/** `"0.50"` → `500000`; null when the text is not a decimal number of at most six places. */
export function parseUsd(text: string): MicroUsd | null {
  const match = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text);
  if (!match) return null;
  return Number(match[1]) * 1_000_000 + Number((match[2] ?? '').padEnd(6, '0'));
}
