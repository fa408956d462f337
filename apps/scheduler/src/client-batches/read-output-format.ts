import type { CallNode } from '@millrace/contracts';
import { isFields, readFields, refuseOthers } from './body-fields.ts';
import { invalid, missing, unsupported } from './line-problem.ts';

/** What walks a schema by recursion relies on it. */
const MAX_NESTING = 64;

/**
 * A `json_schema` format as a call's output; the answer is checked against the schema whatever `strict` says. Throws
 * LineProblem.
 */
export function readJsonSchema(value: unknown, param: string): NonNullable<CallNode['output']> {
  const format = readFields(value, param);
  refuseOthers(format, param, ['type', 'name', 'schema', 'strict']);
  const { name, schema } = format;
  if (schema === undefined || schema === null) throw missing(`${param}.schema`);
  if (!isFields(schema)) throw invalid(`${param}.schema`, 'an object is expected');
  if (isNestedDeeper(schema, MAX_NESTING)) throw invalid(`${param}.schema`, 'it is nested too deeply');
  if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(name)) {
    throw invalid(`${param}.name`, 'a letter, then up to 63 letters, digits, "_" or "-"');
  }
  return { schema: { ...schema }, name };
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
