import { hashText } from '../random-source.ts';
import { isObject, listOf, numberOf, objectOf, stringOf, type JsonObject } from '../json-value.ts';
import { classify } from './classify.ts';
import { fillString } from './fill-string.ts';
import { keyWordsOf, sentencesOf, topicsOf } from './sentences.ts';
import { rankSentences } from './summarise.ts';

/** What a value may be drawn from; `used` makes the items of an array differ. */
export interface Extracts {
  readonly text: string;
  readonly instruction: string;
  /** The sentences of the text, the most telling first. */
  readonly sentences: readonly string[];
  readonly topics: readonly string[];
  readonly numbers: readonly number[];
  used: number;
}

/** A value that fits the JSON schema, made of extracts of the text. The same input gives the same value. */
export function fillSchema(schema: JsonObject, instruction: string, text: string): unknown {
  const sentences = sentencesOf(text);
  const extracts: Extracts = {
    text,
    instruction,
    sentences: rankSentences(sentences).map((index) => sentences[index] ?? ''),
    topics: topicsOf(text, 24),
    numbers: [...text.matchAll(/(?<![\w.])-?\d+(?:[.,]\d+)*(?![\w])/g)].map(([digits]) =>
      Number(digits.replaceAll(',', '')),
    ),
    used: 0,
  };
  return fill(schema, { root: schema, extracts, depth: 0 }, '');
}

interface Place {
  readonly root: JsonObject;
  readonly extracts: Extracts;
  readonly depth: number;
}

function fill(given: JsonObject, place: Place, name: string): unknown {
  const schema = resolve(given, place.root);
  if ('const' in schema) return schema['const'];
  const choices = listOf(schema['enum']);
  if (choices.length > 0) return chooseFrom(choices, schema, place.extracts, name);
  const alternatives = listOf(schema['anyOf'] ?? schema['oneOf']).filter(isObject);
  if (alternatives.length > 0 && schema['type'] === undefined) {
    return fill(preferred(alternatives, place), deeper(place), name);
  }
  switch (typeOf(schema, place.depth)) {
    case 'object':
      return fillObject(schema, place);
    case 'array':
      return fillArray(schema, place, name);
    case 'integer':
    case 'number':
      return fillNumber(schema, place.extracts, name);
    case 'boolean':
      return fillBoolean(schema, place.extracts, name);
    case 'null':
      return null;
    default:
      return fillString(schema, place.extracts, name);
  }
}

function deeper(place: Place): Place {
  return { ...place, depth: place.depth + 1 };
}

function resolve(schema: JsonObject, root: JsonObject): JsonObject {
  let current = schema;
  for (let hops = 0; hops < 8; hops += 1) {
    const reference = stringOf(current['$ref']);
    if (reference === null) break;
    let target: unknown = root;
    for (const part of reference.replace(/^#\/?/, '').split('/').filter(Boolean)) {
      target = objectOf(target)[part.replaceAll('~1', '/').replaceAll('~0', '~')];
    }
    current = objectOf(target);
  }
  const parts = listOf(current['allOf']).filter(isObject);
  if (parts.length === 0) return current;
  const merged: JsonObject = { ...current };
  for (const part of parts) {
    const resolved = resolve(part, root);
    Object.assign(merged, resolved, {
      properties: { ...objectOf(merged['properties']), ...objectOf(resolved['properties']) },
      required: [...listOf(merged['required']), ...listOf(resolved['required'])],
    });
  }
  return merged;
}

/** Deep inside a recursive schema the simplest alternative ends the recursion. */
function preferred(alternatives: readonly JsonObject[], place: Place): JsonObject {
  const simple = alternatives.find(
    (each) => !['object', 'array'].includes(String(resolve(each, place.root)['type'])),
  );
  const first = alternatives.find((each) => each['type'] !== 'null') ?? alternatives[0] ?? {};
  return place.depth > 4 ? (alternatives.find((each) => each['type'] === 'null') ?? simple ?? first) : first;
}

function typeOf(schema: JsonObject, depth: number): string {
  const type = schema['type'];
  if (typeof type === 'string') return type;
  const types = listOf(type).filter((each) => typeof each === 'string');
  if (depth > 4 && types.includes('null')) return 'null';
  const real = types.find((each) => each !== 'null') ?? types[0];
  if (real !== undefined) return real;
  if (isObject(schema['properties'])) return 'object';
  return isObject(schema['items']) ? 'array' : 'string';
}

function chooseFrom(
  choices: readonly unknown[],
  schema: JsonObject,
  extracts: Extracts,
  name: string,
): unknown {
  const texts = choices.filter((choice) => typeof choice === 'string');
  if (texts.length === 0) return choices.find((choice) => choice !== null) ?? choices[0];
  const description = `${stringOf(schema['description']) ?? ''}\n${extracts.instruction}`;
  const labels = texts.map((choice) => ({ name: choice, description: lineAbout(choice, description) }));
  const relevant = extracts.text === '' ? name : extracts.text;
  return classify(relevant, labels);
}

/** What an instruction says of one choice: "billing: payments". */
function lineAbout(choice: string, instruction: string): string {
  const at = instruction.toLowerCase().indexOf(`${choice.toLowerCase()}:`);
  return at < 0 ? '' : (instruction.slice(at + choice.length + 1, at + 200).split(/[\n.;]/)[0] ?? '');
}

function fillObject(schema: JsonObject, place: Place): JsonObject {
  const result: JsonObject = {};
  const required = new Set(listOf(schema['required']));
  for (const [key, value] of Object.entries(objectOf(schema['properties']))) {
    // Optional parts end a recursion; above that they are filled, because that is more use.
    if (place.depth > 5 && !required.has(key)) continue;
    result[key] = fill(objectOf(value), deeper(place), key);
  }
  for (const key of required) if (typeof key === 'string' && !(key in result)) result[key] = '';
  return result;
}

function fillArray(schema: JsonObject, place: Place, name: string): unknown[] {
  const minimum = numberOf(schema['minItems']) ?? 0;
  const maximum = numberOf(schema['maxItems']) ?? Math.max(4, minimum);
  const natural =
    place.depth > 5 ? 0 : Math.min(4, Math.max(2, Math.ceil(place.extracts.sentences.length / 4)));
  const length = Math.min(maximum, Math.max(minimum, natural));
  const items: unknown[] = [];
  const prefix = listOf(schema['prefixItems']);
  const itemSchema = objectOf(schema['items']);
  const choices = listOf(resolve(itemSchema, place.root)['enum']);
  if (choices.length > 0) return choices.slice(0, Math.max(minimum, Math.min(length, choices.length)));
  place.extracts.used = 0;
  for (let index = 0; index < length; index += 1) {
    const item = fill(objectOf(prefix[index] ?? itemSchema), deeper(place), name);
    if (index >= minimum && items.some((known) => JSON.stringify(known) === JSON.stringify(item))) break;
    items.push(item);
    place.extracts.used = index + 1;
  }
  place.extracts.used = 0;
  return items;
}

function fillNumber(schema: JsonObject, extracts: Extracts, name: string): number {
  const whole = schema['type'] === 'integer' || listOf(schema['type']).includes('integer');
  const step = numberOf(schema['multipleOf']) ?? (whole ? 1 : 0);
  const low = numberOf(schema['minimum']) ?? afterBound(numberOf(schema['exclusiveMinimum']), step || 0.01);
  const high =
    numberOf(schema['maximum']) ?? afterBound(numberOf(schema['exclusiveMaximum']), -(step || 0.01));
  const share = 0.55 + (hashText(`${name}${extracts.text}`) % 40) / 100;
  const rating = /score|confidence|probability|rating|likelihood|certainty/i.test(name);
  const fitting = extracts.numbers.filter(
    (each) =>
      (low === null || each >= low) && (high === null || each <= high) && (!whole || Number.isInteger(each)),
  );
  const count = /count|number|total|sentences|words/i.test(name) && extracts.numbers.length === 0;
  let value = rating || fitting.length === 0 ? null : (fitting[extracts.used % fitting.length] ?? null);
  if (count) value = extracts.sentences.length;
  value ??= (low ?? 0) + share * ((high ?? (rating ? 1 : (low ?? 0) + 10)) - (low ?? 0));
  if (step > 0) value = Math.round(value / step) * step;
  value = Number(value.toFixed(whole ? 0 : 4));
  if (low !== null && value < low) value = step > 0 ? Math.ceil(low / step) * step : low;
  if (high !== null && value > high) value = step > 0 ? Math.floor(high / step) * step : high;
  return value;
}

function afterBound(bound: number | null, step: number): number | null {
  return bound === null ? null : bound + step;
}

function fillBoolean(schema: JsonObject, extracts: Extracts, name: string): boolean {
  const asked = keyWordsOf(
    `${name.replace(/([A-Z])/g, ' $1').replaceAll('_', ' ')} ${stringOf(schema['description']) ?? ''}`,
  );
  const words = new Set(keyWordsOf(extracts.text));
  if (/valid|ok|correct|relevant|complete|approved|accept/i.test(name)) return true;
  return asked.some((word) => words.has(word));
}
