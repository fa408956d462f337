/** How long tokens took, in milliseconds. */
export interface StreamFigures {
  received: number;
  p50: number;
  p99: number;
  most: number;
}

/** Sums up how long each token took. */
export function toStreamFigures(latencies: readonly number[]): StreamFigures {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { received: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? NaN };
}

/** The wall clock in milliseconds with microseconds, as the simulator stamps its tokens. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

/** How the simulator writes a stamp. */
export const stampPattern = /\b(\d{13}\.\d{3})\b/g;
