/** One row of docs/performance.md, as a bench has seen it. */
export interface Figure {
  what: string;
  /** Empty: there is none. */
  goal: string;
  figure: string;
  /** Null: there is no goal. */
  reached: boolean | null;
}

/** Prints a bench's figures, the one that counts last, and hands them to `main.ts` where that has started the bench. */
export function reportFigures(figures: readonly Figure[]): void {
  for (const { what, goal, figure } of figures) {
    console.log(`${what}: ${figure}${goal === '' ? '' : ` (goal ${goal})`}`);
  }
  process.send?.(figures);
}
