/**
 * The keywords that OpenAI's strict mode knows (guide "Structured Outputs, supported schemas"); anything else makes it
 * refuse the whole request with 400.
 */
const STRICT_KEYWORDS = new Set([
  '$defs',
  'definitions',
  '$ref',
  '$schema',
  '$id',
  'additionalProperties',
  'anyOf',
  'const',
  'description',
  'enum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'format',
  'items',
  'maxItems',
  'maximum',
  'minItems',
  'minimum',
  'multipleOf',
  'pattern',
  'properties',
  'required',
  'title',
  'type',
]);
const STRICT_FORMATS = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uuid',
]);
const MOST_PROPERTIES = 5000;
const MOST_ENUM_VALUES = 1000;
const DEEPEST = 10;

type Schema = Record<string, unknown>;

/** Whether OpenAI's strict mode takes the schema as it is: then the answer is certain to fit it. */
export function satisfiesStrictRules(schema: Schema): boolean {
  if (schema['type'] !== 'object' || 'anyOf' in schema) return false;
  const counts = { properties: 0, enumValues: 0 };
  return (
    isStrict(schema, 1, counts) &&
    counts.properties <= MOST_PROPERTIES &&
    counts.enumValues <= MOST_ENUM_VALUES
  );
}

/** Whether the root is an object: OpenAI refuses other roots even where strict is false. */
export function hasObjectRoot(schema: Schema): boolean {
  return schema['type'] === 'object';
}

function isStrict(
  value: unknown,
  depth: number,
  counts: { properties: number; enumValues: number },
): boolean {
  if (!isSchema(value) || depth > DEEPEST) return false;
  if (!Object.keys(value).every((keyword) => STRICT_KEYWORDS.has(keyword))) return false;
  if (typeof value['format'] === 'string' && !STRICT_FORMATS.has(value['format'])) return false;
  if (Array.isArray(value['enum'])) counts.enumValues += value['enum'].length;
  const describesAValue = ['type', '$ref', 'anyOf', 'enum', 'const'].some((keyword) => keyword in value);
  if (!describesAValue) return false;
  if (!isStrictObject(value, counts)) return false;
  return childrenOf(value).every(([child, isDeeper]) => isStrict(child, depth + (isDeeper ? 1 : 0), counts));
}

/** Every object is closed and requires all of its properties. */
function isStrictObject(schema: Schema, counts: { properties: number }): boolean {
  const types = Array.isArray(schema['type']) ? (schema['type'] as unknown[]) : [schema['type']];
  if (!types.includes('object') && !('properties' in schema)) return true;
  if (schema['additionalProperties'] !== false) return false;
  const properties = schema['properties'] ?? {};
  if (!isSchema(properties)) return false;
  const names = Object.keys(properties);
  counts.properties += names.length;
  const required = new Set(Array.isArray(schema['required']) ? (schema['required'] as unknown[]) : []);
  return names.every((name) => required.has(name));
}

function childrenOf(schema: Schema): [unknown, boolean][] {
  const children: [unknown, boolean][] = [];
  for (const keyword of ['properties', '$defs', 'definitions']) {
    const members = schema[keyword];
    if (isSchema(members))
      children.push(...Object.values(members).map((each): [unknown, boolean] => [each, true]));
  }
  if ('items' in schema) children.push([schema['items'], true]);
  if (Array.isArray(schema['anyOf'])) {
    children.push(...(schema['anyOf'] as unknown[]).map((each): [unknown, boolean] => [each, false]));
  }
  return children;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
