import { describe, expect, test } from 'vitest';
import { satisfiesStrictRules } from './openai-strict-schema.ts';

const object = (properties: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const text = { type: 'string' };

describe('strict mode is used for', () => {
  test.each([
    [
      'a closed object whose properties are all required',
      object({ a: text, b: { type: ['number', 'null'] } }),
    ],
    ['an empty closed object', object({})],
    [
      'nested closed objects in arrays',
      object({ list: { type: 'array', items: object({ a: text }), minItems: 1 } }),
    ],
    ['enums and constants', object({ a: { enum: ['x', 'y'] }, b: { const: 'z' } })],
    ['references', { ...object({ a: { $ref: '#/$defs/node' } }), $defs: { node: object({ n: text }) } }],
    ['anyOf below the root', object({ a: { anyOf: [text, object({ n: text })] } })],
    ['known formats', object({ at: { type: 'string', format: 'date-time' } })],
  ])('%s', (_what, schema) => {
    expect(satisfiesStrictRules(schema)).toBe(true);
  });
});

describe('strict mode is not used for', () => {
  test.each([
    ['an open object', { type: 'object', properties: { a: text }, required: ['a'] }],
    ['an optional property', object({ a: text, b: text }, { required: ['a'] })],
    [
      'an open object deep inside',
      object({ a: { type: 'array', items: { type: 'object', properties: {} } } }),
    ],
    ['a root that is a list', { type: 'array', items: text }],
    ['anyOf at the root', { ...object({ a: text }), anyOf: [object({ a: text })] }],
    ['allOf', object({ a: { allOf: [text] } })],
    ['patternProperties', object({}, { patternProperties: { '^x': text } })],
    ['a length', object({ a: { type: 'string', minLength: 1 } })],
    ['an unknown format', object({ a: { type: 'string', format: 'uri-template' } })],
    ['a value without a description', object({ a: {} })],
    ['a boolean schema', object({ a: true })],
    ['a map', object({ a: { type: 'object', additionalProperties: text } })],
    ['too many enum values', object({ a: { enum: Array.from({ length: 1001 }, (_each, at) => `v${at}`) } })],
    ['too deep a nesting', Array.from({ length: 11 }).reduce<unknown>((inner) => object({ a: inner }), text)],
  ])('%s', (_what, schema) => {
    expect(satisfiesStrictRules(schema as Record<string, unknown>)).toBe(false);
  });
});
