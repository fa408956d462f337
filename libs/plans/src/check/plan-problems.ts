import type { HttpErrorCode, ProblemDetail } from '@millrace/contracts';

/** Codes by how much they say about the plan as a whole: of several problems the first of these names the answer. */
const PRECEDENCE: readonly HttpErrorCode[] = [
  'plan_too_deep',
  'plan_too_large',
  'system_uses_data',
  'validation_failed',
  'template_invalid',
  'prompt_too_large',
  'call_too_large',
  'output_schema_invalid',
  'unknown_model',
];

/** A plan of a thousand nodes may be wrong in a thousand places; nobody reads more than these. */
const MAX_PROBLEMS = 100;

/** Collects what is wrong with a plan. */
export interface PlanProblems {
  add(code: HttpErrorCode, path: string, message: string): void;
  /** The answer for the client; null when nothing is wrong. */
  summarise(): { code: HttpErrorCode; detail: string; errors: ProblemDetail[] } | null;
}

/** An empty collection. */
export function createPlanProblems(): PlanProblems {
  const errors: ProblemDetail[] = [];
  const firstOfCode = new Map<HttpErrorCode, ProblemDetail>();
  let total = 0;
  return {
    add(code, path, message) {
      total += 1;
      if (!firstOfCode.has(code)) firstOfCode.set(code, { path, message });
      if (errors.length < MAX_PROBLEMS) errors.push({ path, message });
    },
    summarise() {
      const code = PRECEDENCE.find((candidate) => firstOfCode.has(candidate));
      const first = code && firstOfCode.get(code);
      if (!first) return null;
      const where = first.path === '' ? '' : `${first.path}: `;
      const more = total > 1 ? ` (and ${total - 1} more)` : '';
      return { code, detail: `${where}${first.message}${more}`, errors };
    },
  };
}
