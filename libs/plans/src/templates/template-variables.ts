import type { TemplateEngine } from './template-engine.ts';

/** A variable of a template that the check has to look at. */
export interface TemplateVariable {
  /** The first name of the path; null when it is computed while rendering. */
  root: string | null;
  /** As it stands in the template. */
  text: string;
  /** Whether the template itself gives it a value before it reads it. */
  isLocal: boolean;
}

/** Known inside a `for`: `offset: continue`. */
const LOOP_NAMES = new Set(['continue']);

/**
 * Every variable that a template reads, each text once: in outputs, filters' arguments, tags, the sources of `assign`,
 * `capture` and loops, and inside brackets. Throws TemplateError when the template cannot be parsed.
 */
export function templateVariables(engine: TemplateEngine, text: string, field: string): TemplateVariable[] {
  const analysis = engine.liquid.analyzeSync(engine.parse(text, field), { partials: false });
  const outer = new Set(Object.values(analysis.globals).flat());
  const variables = new Map<string, TemplateVariable>();
  for (const variable of Object.values(analysis.variables).flat()) {
    const [first] = variable.segments;
    const root = typeof first === 'string' ? first : null;
    if (root !== null && LOOP_NAMES.has(root)) continue;
    const known = variables.get(variable.toString());
    const isLocal = !outer.has(variable);
    if (known) known.isLocal &&= isLocal;
    else variables.set(variable.toString(), { root, text: variable.toString(), isLocal });
  }
  return [...variables.values()];
}
