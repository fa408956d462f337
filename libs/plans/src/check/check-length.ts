import type { PlanChecker } from './check-plan.ts';

/** The cap on one prompt, message, system text, document or item; false when the text is longer. */
export function checkLength(checker: PlanChecker, text: string, path: string): boolean {
  const { maxTextCharacters } = checker.limits;
  if (text.length <= maxTextCharacters) return true;
  const message = `a text may have ${maxTextCharacters} characters; this has ${text.length}`;
  checker.problems.add('prompt_too_large', path, message);
  return false;
}
