import { Ajv } from 'ajv';
import type { Options, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { boundedRegExp } from './bounded-reg-exp.ts';
import type { SchemaProblem } from './schema-problems.ts';

/** A compiled schema: one validator that finds every error, one that stops at the first. */
export interface CompiledSchema {
  findAll: ValidateFunction;
  /** Compiled when it is first asked for. */
  findFirst(): ValidateFunction;
}

/** Compiles the JSON Schemas that clients give for outputs: 2020-12, or draft-07 where `$schema` says so. */
interface OutputSchemas {
  /** Where a schema is no valid schema, empty when it is one. */
  metaProblems(schema: Record<string, unknown>): SchemaProblem[];
  /** Throws when the schema cannot be compiled (a reference to nothing, a keyword with an impossible value). */
  compile(schema: Record<string, unknown>): CompiledSchema;
}

const MAX_META_PROBLEMS = 5;

/**
 * Schemas of clients share nothing with each other: each is compiled by an ajv of its own, so that no `$id` of one tenant
 * can be reached by another's, or clash with it. Only the meta-schemas are kept, because compiling one takes 15 ms.
 */
export function createOutputSchemas(): OutputSchemas {
  const metaSchemas: { draft7?: Ajv; draft2020?: Ajv2020 } = {};
  return {
    metaProblems(schema) {
      const options: Options = { strict: false, logger: false };
      const meta = isDraft7(schema)
        ? (metaSchemas.draft7 ??= new Ajv(options))
        : (metaSchemas.draft2020 ??= new Ajv2020(options));
      if (meta.validateSchema(schema) === true) return [];
      return (meta.errors ?? []).slice(0, MAX_META_PROBLEMS).map((error) => ({
        pointer: dotted(error.instancePath),
        message: error.message ?? 'is not a valid schema',
      }));
    },
    compile(schema) {
      let findFirst: ValidateFunction | undefined;
      return {
        findAll: compileSchema(schema, true),
        findFirst: () => (findFirst ??= compileSchema(schema, false)),
      };
    },
  };
}

function compileSchema(schema: Record<string, unknown>, allErrors: boolean): ValidateFunction {
  const options: Options = {
    strict: false,
    meta: false,
    validateSchema: false,
    allErrors,
    logger: false,
    code: { regExp: boundedRegExp },
  };
  const ajv = isDraft7(schema) ? new Ajv(options) : new Ajv2020(options);
  addFormats.default(ajv);
  // The dialect is chosen above; ajv would look for its meta-schema, which this instance does not carry.
  const { $schema: _, ...rest } = schema;
  return ajv.compile(rest);
}

function isDraft7(schema: Record<string, unknown>): boolean {
  return typeof schema['$schema'] === 'string' && /\/draft-07\/schema#?$/.test(schema['$schema']);
}

/** `/properties/a/items/0` → `.properties.a.items[0]`. */
function dotted(pointer: string): string {
  const segments = pointer.split('/').slice(1);
  return segments.map((segment) => (/^\d+$/.test(segment) ? `[${segment}]` : `.${segment}`)).join('');
}
