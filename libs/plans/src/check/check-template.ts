import { scopeNames } from '../run/scope.ts';
import { TemplateError } from '../templates/template-engine.ts';
import { templateVariables } from '../templates/template-variables.ts';
import type { TemplateVariable } from '../templates/template-variables.ts';
import { checkLength } from './check-length.ts';
import type { PlanChecker } from './check-plan.ts';
import { nearestName } from './nearest-name.ts';

/** A prompt or message: it parses, and it reads only variables that there are. */
export function checkTemplate(checker: PlanChecker, text: string, path: string): void {
  for (const variable of readVariables(checker, text, path)) {
    if (variable.isLocal || isScopeName(variable.root)) continue;
    const nearest = variable.root === null ? null : nearestName(variable.root, scopeNames);
    const advice = nearest === null ? `there are ${scopeNames.join(', ')}` : `did you mean "${nearest}"?`;
    checker.problems.add('template_invalid', path, `unknown variable "${variable.text}"; ${advice}`);
  }
}

/**
 * A system text: as a prompt, but of the plan's data it may read `params` only. A name of data is refused even where the
 * template gives it a value of its own, because that assignment may stand in a branch that is not taken.
 */
export function checkSystem(checker: PlanChecker, text: string, path: string): void {
  for (const variable of readVariables(checker, text, path)) {
    if (variable.root === 'params' || (variable.isLocal && !isScopeName(variable.root))) continue;
    const message = `a system text may use params only, not "${variable.text}"`;
    checker.problems.add('system_uses_data', path, message);
  }
}

function readVariables(checker: PlanChecker, text: string, path: string): TemplateVariable[] {
  const { problems, templates } = checker;
  if (!checkLength(checker, text, path)) return [];
  if (!text.includes('{{') && !text.includes('{%')) return [];
  try {
    return templateVariables(templates, text, path);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    problems.add('template_invalid', path, error.reason);
    return [];
  }
}

function isScopeName(name: string | null): boolean {
  return scopeNames.some((known) => known === name);
}
