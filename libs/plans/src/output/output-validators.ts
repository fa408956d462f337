import { canonicalJson } from '@millrace/contracts';
import type { Json } from '@millrace/contracts';
import { createOutputSchemas } from './output-schema.ts';
import { findSchemaProblems } from './schema-problems.ts';
import type { SchemaProblem } from './schema-problems.ts';
import { createTimeLimit } from './time-limit.ts';
import { validateAnswer } from './validate-answer.ts';
import type { OutputCheck } from './validate-answer.ts';

/** Checks one model answer against one schema. */
export type OutputValidator = (text: string) => OutputCheck;

/** Validators of the schemas that were used lately. */
export interface OutputValidators {
  /** The validator of a schema, compiled at most once while it is remembered; throws when the schema cannot be used. */
  for(schema: Record<string, unknown>): OutputValidator;
  /** What is wrong with a schema, empty when it can be used. */
  check(schema: Record<string, unknown>): SchemaProblem[];
}

/** Checking takes microseconds; only patterns and schemas that mean harm, or nearly so, take longer than this. */
const CHECK_LIMIT_MS = 500;

/** Remembers at most `maxEntries` compiled schemas, those used last. One per process, made in `main`. */
export function createOutputValidators({ maxEntries }: { maxEntries: number }): OutputValidators {
  const schemas = createOutputSchemas();
  const limited = createTimeLimit(CHECK_LIMIT_MS);
  const known = new Map<string, OutputValidator>();
  const remember = (key: string, validator: OutputValidator): OutputValidator => {
    known.delete(key);
    known.set(key, validator);
    for (const oldest of known.keys()) {
      if (known.size <= maxEntries) break;
      known.delete(oldest);
    }
    return validator;
  };
  const compile = (schema: Record<string, unknown>): OutputValidator => {
    const validate = schemas.compile(schema);
    return (text) => validateAnswer(text, validate, limited);
  };

  return {
    for(schema) {
      const key = canonicalJson(schema as Json);
      return remember(key, known.get(key) ?? compile(schema));
    },
    check(schema) {
      // Before the key is made, because it bounds the depth without recursion.
      const structural = findSchemaProblems(schema);
      if (structural.length > 0) return structural;
      const key = canonicalJson(schema as Json);
      if (known.has(key)) return [];
      const problems = schemas.metaProblems(schema);
      if (problems.length > 0) return problems;
      try {
        remember(key, compile(schema));
        return [];
      } catch (error) {
        const message = error instanceof Error ? error.message.slice(0, 300) : String(error);
        return [{ pointer: '', message }];
      }
    },
  };
}

/** The validator of one schema; compiles it, about 1 ms. Throws when the schema cannot be used. */
export function createOutputValidator(schema: Record<string, unknown>): OutputValidator {
  return createOutputValidators({ maxEntries: 1 }).for(schema);
}
