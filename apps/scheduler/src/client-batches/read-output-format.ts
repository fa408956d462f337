import type { CallNode } from '@millrace/contracts';
import { isFields, readFields, refuseOthers } from './body-fields.ts';
import type { Fields } from './body-fields.ts';
import { invalid, missing, unsupported } from './line-problem.ts';

/** What walks a schema by recursion relies on it. */
const MAX_NESTING = 64;

/**
 * A `json_schema` format as a call's output; the answer is checked against the schema whatever `strict` says. The format's
 * description becomes the schema's, which every vendor hands to the model. Throws LineProblem.
 */
export function readJsonSchema(value: unknown, param: string): NonNullable<CallNode['output']> {
  const format = readFields(value, param);
  refuseOthers(format, param, ['type', 'name', 'description', 'schema', 'strict']);
  const { name, description, schema } = format;
  if (schema === undefined || schema === null) throw missing(`${param}.schema`);
  if (!isFields(schema)) throw invalid(`${param}.schema`, 'an object is expected');
  if (isNestedDeeper(schema, MAX_NESTING)) throw invalid(`${param}.schema`, 'it is nested too deeply');
  if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)) {
    throw invalid(`${param}.name`, 'a letter, then up to 63 letters, digits, "_" or "-"');
  }
  return { schema: describe(schema, description, `${param}.description`), name };
}

/** Both descriptions where the schema has one of its own: each may be all that says what the answer is for. */
function describe(schema: Fields, description: unknown, param: string): Record<string, unknown> {
  if (description === undefined || description === null || description === '') return { ...schema };
  if (typeof description !== 'string') throw invalid(param, 'a string is expected');
  const own = schema['description'];
  const both = typeof own === 'string' ? `${description}\n\n${own}` : description;
  return { ...schema, description: both };
}

/** A format that is no `json_schema`: text, or something that a call cannot express. Throws LineProblem. */
export function refuseFormat(type: unknown, param: string): undefined {
  if (type === 'text') return undefined;
  throw unsupported(`${param}.type`, 'only text and json_schema are supported here');
}

function isNestedDeeper(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return true;
    level = level.flatMap((each): unknown[] =>
      typeof each === 'object' && each !== null ? Object.values(each) : [],
    );
  }
  return false;
}
