/**
 * A named point at which the chaos programme may kill this process; `about` names what is at work there (a job's id, an
 * idempotency key, several names of one thing). Outside a run with `node --conditions=millrace-chaos` it does nothing.
 */
export function crashPoint(_name: string, _about?: string | readonly (string | null)[]): void {
  // Nothing: see armed.ts.
}

/** Whether the chaos programme has planted this defect, to prove that its checker sees it. Always false outside of it. */
export function hasDefect(_name: string): boolean {
  return false;
}
