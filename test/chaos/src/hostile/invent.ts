import type { SeededRandom } from '../seeded-random.ts';
import type { Schema } from './openapi.ts';

const DEEPEST = 5;

/** A value that fits a schema as far as its types, constants and properties say; texts are drawn from what jobs are made of. */
export function invent(
  schema: Schema,
  resolve: (schema: Schema) => Schema,
  random: SeededRandom,
  depth = 0,
): unknown {
  const own = resolve(schema);
  if (depth > 3 * DEEPEST) return null;
  if ('const' in own) return own.const;
  if (own.enum) return random.pick(own.enum);
  const choices = own.anyOf ?? own.oneOf;
  if (choices) return invent(choose(choices, resolve, random, depth), resolve, random, depth);
  if (own.allOf) {
    return Object.assign(
      {},
      ...own.allOf.map((part) => invent(part, resolve, random, depth) as object),
    ) as unknown;
  }
  const type = Array.isArray(own.type) ? random.pick(own.type) : own.type;
  switch (type) {
    case 'object':
      return inventObject(own, resolve, random, depth);
    case 'array':
      return Array.from(
        { length: depth > DEEPEST ? (own.minItems ?? 0) : random.between(own.minItems ?? 0, 3) },
        () => invent(own.items ?? {}, resolve, random, depth + 1),
      );
    case 'integer':
      return random.between(Math.max(own.minimum ?? 0, -100), Math.min(own.maximum ?? 100, 100));
    case 'number':
      return random.next() * 100;
    case 'boolean':
      return random.next() < 0.5;
    case 'null':
      return null;
    default:
      return random.pick(texts);
  }
}

/** Deep down the simplest choice: plans refer to themselves. */
function choose(
  choices: readonly Schema[],
  resolve: (schema: Schema) => Schema,
  random: SeededRandom,
  depth: number,
): Schema {
  if (depth <= DEEPEST) return random.pick(choices);
  return (
    choices.toSorted((a, b) => JSON.stringify(resolve(a)).length - JSON.stringify(resolve(b)).length)[0] ?? {}
  );
}

function inventObject(
  schema: Schema,
  resolve: (schema: Schema) => Schema,
  random: SeededRandom,
  depth: number,
): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const isNeeded = schema.required?.includes(name) === true;
    if (isNeeded || (depth <= DEEPEST && random.next() < 0.3))
      value[name] = invent(property, resolve, random, depth + 1);
  }
  if (typeof schema.additionalProperties === 'object' && depth <= DEEPEST) {
    for (let index = random.between(0, 2); index > 0; index -= 1) {
      value[random.pick(names)] = invent(schema.additionalProperties, resolve, random, depth + 1);
    }
  }
  return value;
}

const names = ['a', 'first', 'left', 'note', 'user_id', 'input'];
const texts = [
  'cheap',
  'quality',
  'openai/gpt-6-luna',
  'Say something short. [[sim:reply=fine]]',
  'After {{ input }}: {{ item }}',
  '{% for n in items %}{{ n }}{% endfor %}',
  '1h',
  '2027-01-01T00:00:00Z',
  '0.50',
  'https://example.com/hooks',
  'first',
  '24h',
  '/v1/responses',
  'batch',
];

const deep = (levels: number): unknown => {
  let value: unknown = 'x';
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

/** What somebody sends who wants to see something break. */
export const nastyValues: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => 0,
  () => 1e308,
  () => 2 ** 53,
  () => 0.1,
  () => '',
  () => '\u0000',
  () => '\ud800',
  () => '\u202e\ufeff',
  () => 'x'.repeat(70_000),
  () => [],
  () => ({}),
  () => deep(40),
  () => deep(2_000),
  () => ({ __proto__x: 1, constructor: { prototype: { polluted: true } } }),
  () => JSON.parse('{"__proto__":{"polluted":true}}') as unknown,
  () => "'; DROP TABLE jobs; --",
  () => '../../../../etc/passwd',
  () => '%00%0d%0aset-cookie:%20a=b',
  () => 'a\r\nset-cookie: a=b',
  () => '${jndi:ldap://127.0.0.1/a}',
  () => '{{ "x" | times: 1000000000 }}',
  () => '{% for i in (1..100000000) %}x{% endfor %}',
  () => '(a+)+$',
  () => 'http://127.0.0.1:1/',
  () => 'file:///etc/passwd',
  () => Array.from({ length: 2_000 }, (_, index) => index),
];

/** The value with something nasty in a place that the seed chooses; sometimes with a member that nobody asked for. */
export function spoil(value: unknown, random: SeededRandom): unknown {
  if (random.next() < 0.15 || typeof value !== 'object' || value === null) return random.pick(nastyValues)();
  const copy: unknown = structuredClone(value);
  const places = placesOf(copy);
  const place = places.length === 0 ? null : random.pick(places);
  if (place === null || random.next() < 0.2) {
    (copy as Record<string, unknown>)[random.pick(['x', '__proto__', 'constructor', 'id', 'status', ''])] =
      random.pick(nastyValues)();
    return copy;
  }
  if (random.next() < 0.2) delete place.holder[place.name];
  else place.holder[place.name] = random.pick(nastyValues)();
  return copy;
}

function placesOf(value: unknown): { holder: Record<string, unknown>; name: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder).flatMap((name) => [{ holder, name }, ...placesOf(holder[name])]);
}
