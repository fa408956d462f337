import { patternProblem } from './pattern-problem.ts';

/** What is wrong with a schema, and where: `.properties.a`, '' for the schema itself. */
export interface SchemaProblem {
  pointer: string;
  message: string;
}

const MAX_DEPTH = 32;
const MAX_PROBLEMS = 20;
const DIALECTS = /^https?:\/\/json-schema\.org\/(?:draft\/2020-12\/schema|draft-07\/schema)#?$/;

/**
 * What a schema of a stranger may not have, although ajv would take it: references to other documents, asynchronous
 * validation, depth without end, patterns that take exponential time.
 */
export function findSchemaProblems(schema: Record<string, unknown>): SchemaProblem[] {
  const problems: SchemaProblem[] = [];
  const dialect = schema['$schema'];
  if (dialect !== undefined && !(typeof dialect === 'string' && DIALECTS.test(dialect))) {
    problems.push({ pointer: '.$schema', message: 'only JSON Schema 2020-12 and draft-07 are known' });
  }
  const pending: { value: unknown; pointer: string; depth: number }[] = [
    { value: schema, pointer: '', depth: 1 },
  ];
  for (let next = pending.pop(); next && problems.length < MAX_PROBLEMS; next = pending.pop()) {
    const { value, pointer, depth } = next;
    if (value === null || typeof value !== 'object') continue;
    if (depth > MAX_DEPTH) {
      problems.push({ pointer, message: `a schema may be nested ${MAX_DEPTH} deep` });
      continue;
    }
    for (const [key, member] of Object.entries(value)) {
      const at = Array.isArray(value) ? `${pointer}[${key}]` : `${pointer}.${key}`;
      const message = keywordProblem(key, member);
      if (message !== null) problems.push({ pointer: at, message });
      pending.push({ value: member, pointer: at, depth: depth + 1 });
    }
  }
  return problems;
}

function keywordProblem(key: string, value: unknown): string | null {
  switch (key) {
    case '$ref':
    case '$dynamicRef':
    case '$recursiveRef':
      return typeof value === 'string' && !value.startsWith('#')
        ? 'only references inside the schema ("#…") are followed'
        : null;
    case '$async':
      return value === true ? 'asynchronous schemas are not known' : null;
    case 'pattern':
      return typeof value === 'string' ? patternProblem(value) : null;
    case 'patternProperties':
      return firstPatternProblem(value);
    default:
      return null;
  }
}

function firstPatternProblem(value: unknown): string | null {
  if (value === null || typeof value !== 'object') return null;
  for (const pattern of Object.keys(value)) {
    const problem = patternProblem(pattern);
    if (problem !== null) return problem;
  }
  return null;
}
