import { isObject, listOf, objectOf, stringOf, type JsonObject } from '../json-value.ts';

/** Which vendor's rules for schemas of structured output apply. */
type SchemaRules = 'openai_strict' | 'anthropic';

const UNSUPPORTED: Readonly<Record<SchemaRules, readonly string[]>> = {
  openai_strict: [
    'allOf',
    'not',
    'dependentRequired',
    'dependentSchemas',
    'if',
    'then',
    'else',
    'patternProperties',
  ],
  // What the vendor's SDK moves into descriptions before it sends a schema.
  anthropic: [
    'not',
    'if',
    'then',
    'else',
    'patternProperties',
    'minLength',
    'maxLength',
    'minimum',
    'maximum',
    'exclusiveMinimum',
    'exclusiveMaximum',
    'multipleOf',
    'maxItems',
  ],
};

/** The first rule that a schema breaks, as the vendor would say it, or null. */
export function schemaProblem(schema: JsonObject, rules: SchemaRules): string | null {
  if (rules === 'openai_strict' && (schema['type'] !== 'object' || schema['anyOf'] !== undefined)) {
    const type = JSON.stringify(schema['type'] ?? 'None');
    return `In context=(), schema must be a JSON Schema of 'type: "object"', got 'type: ${type}'.`;
  }
  return problemIn(schema, rules, [], 0);
}

function problemIn(
  schema: JsonObject,
  rules: SchemaRules,
  path: readonly string[],
  depth: number,
): string | null {
  const context = `In context=(${path.map((part) => `'${part}'`).join(', ')})`;
  if (depth > 10) return `${context}, the schema is nested deeper than 10 levels.`;
  for (const keyword of UNSUPPORTED[rules]) {
    if (keyword in schema) return `${context}, '${keyword}' is not permitted.`;
  }
  const properties = objectOf(schema['properties']);
  const isObjectSchema = schema['type'] === 'object' || listOf(schema['type']).includes('object');
  if (isObjectSchema) {
    if (schema['additionalProperties'] !== false) {
      return `${context}, 'additionalProperties' is required to be supplied and to be false.`;
    }
    const missing = Object.keys(properties).find((key) => !listOf(schema['required']).includes(key));
    if (rules === 'openai_strict' && missing !== undefined) {
      return `${context}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`;
    }
  }
  for (const { key, child } of childrenOf(schema, properties)) {
    const problem = problemIn(child, rules, [...path, ...key], depth + (key.includes('$defs') ? 0 : 1));
    if (problem !== null) return problem;
  }
  const reference = stringOf(schema['$ref']);
  return reference !== null && !reference.startsWith('#')
    ? `${context}, only local $ref is permitted.`
    : null;
}

function childrenOf(
  schema: JsonObject,
  properties: JsonObject,
): readonly { key: string[]; child: JsonObject }[] {
  const children: { key: string[]; child: JsonObject }[] = [];
  for (const [key, child] of Object.entries(properties)) {
    if (isObject(child)) children.push({ key: ['properties', key], child });
  }
  if (isObject(schema['items'])) children.push({ key: ['items'], child: schema['items'] });
  for (const [index, child] of listOf(schema['anyOf']).entries()) {
    if (isObject(child)) children.push({ key: ['anyOf', String(index)], child });
  }
  for (const keyword of ['$defs', 'definitions']) {
    for (const [key, child] of Object.entries(objectOf(schema[keyword]))) {
      if (isObject(child)) children.push({ key: ['$defs', key], child });
    }
  }
  return children;
}
