import { Ajv } from 'ajv';
import type { Options, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { findSchemaProblems } from './schema-problems.ts';
import type { SchemaProblem } from './schema-problems.ts';
import { boundedRegExp } from './bounded-reg-exp.ts';

/** Checks and compiles the JSON Schemas that clients give for outputs. */
export interface OutputSchemas {
  /** What is wrong with a schema before it is compiled, empty when nothing is. */
  check(schema: Record<string, unknown>): SchemaProblem[];
  /** A validator for one schema; throws when the schema cannot be used. */
  compile(schema: Record<string, unknown>): ValidateFunction;
}

/**
 * Schemas of clients share nothing with each other: each is compiled by an ajv of its own, so that no `$id` of one tenant
 * can be reached, or clash, with another's. Only the meta-schemas are kept, because compiling one takes 15 ms.
 */
export function createOutputSchemas(): OutputSchemas {
  const metaSchemas: { draft7?: Ajv; draft2020?: Ajv2020 } = {};

  const metaProblems = (schema: Record<string, unknown>): SchemaProblem[] => {
    const meta = isDraft7(schema)
      ? (metaSchemas.draft7 ??= new Ajv({ strict: false, logger: false, allErrors: false }))
      : (metaSchemas.draft2020 ??= new Ajv2020({ strict: false, logger: false, allErrors: false }));
    if (meta.validateSchema(schema) === true) return [];
    return (meta.errors ?? []).map((error) => ({
      pointer: dotted(error.instancePath),
      message: error.message ?? 'is not a valid schema',
    }));
  };

  return {
    check(schema) {
      const problems = findSchemaProblems(schema);
      return problems.length > 0 ? problems : metaProblems(schema).slice(0, 5);
    },
    compile: compileSchema,
  };
}

function compileSchema(schema: Record<string, unknown>): ValidateFunction {
  const options: Options = {
    strict: false,
    meta: false,
    validateSchema: false,
    allErrors: true,
    logger: false,
    code: { regExp: boundedRegExp },
  };
  const ajv = isDraft7(schema) ? new Ajv(options) : new Ajv2020(options);
  addFormats.default(ajv);
  // The dialect is chosen above; ajv would look for the meta-schema, which this instance does not carry.
  const { $schema: _, ...rest } = schema;
  return ajv.compile(rest);
}

/** JSON Schema 2020-12 unless `$schema` says draft-07. */
function isDraft7(schema: Record<string, unknown>): boolean {
  return typeof schema['$schema'] === 'string' && /\/draft-07\/schema#?$/.test(schema['$schema']);
}

/** `/properties/a/items/0` → `.properties.a.items[0]`. */
function dotted(pointer: string): string {
  const segments = pointer.split('/').slice(1);
  return segments.map((segment) => (/^\d+$/.test(segment) ? `[${segment}]` : `.${segment}`)).join('');
}
