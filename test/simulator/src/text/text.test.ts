import { describe, expect, it } from 'vitest';
import { isObject, listOf, numberOf, objectOf, stringOf, type JsonObject } from '../json-value.ts';
import { readMarkers, withoutMarkers } from '../prompt-markers.ts';
import { classify, labelsIn } from './classify.ts';
import { combineNotes } from './combine-notes.ts';
import { fillSchema } from './fill-schema.ts';
import { sampleOfPattern } from './sample-pattern.ts';
import { sentencesOf } from './sentences.ts';
import { splitPrompt } from './split-prompt.ts';
import { schemaProblem } from './strict-schema.ts';
import { summarise } from './summarise.ts';

const TEXT =
  'Mr. Hale bought the old mill in Oakford in 1911. The mill had stood empty for 20 years, and its wheel was broken. ' +
  'He repaired the wheel, dug out the race and opened the gate in May. By autumn the mill ground corn for 14 farms. ' +
  'Then he went home. Write to hale@example.com for a visit.';

describe('prompts', () => {
  it.each([
    ['Summarise this part:\nThe river rose.', 'The river rose.'],
    ['Translate to French: The river rose.', 'The river rose.'],
    ['What happened here?\n\nThe river rose.\n\nAnswer with one word.', 'The river rose.'],
    [
      'Summarise the text between the tags. <text>The river rose and the bridge fell into it.</text>',
      'The river rose and the bridge fell into it.',
    ],
    ['Classify this. Answer with one of: a, b.\nTicket: The river rose.', 'The river rose.'],
    ['The river rose. The bridge fell.', 'The river rose. The bridge fell.'],
  ])('are told apart from their data: %j', (prompt, data) => {
    expect(splitPrompt(prompt).data).toBe(data);
  });

  it('lose their markers, of which literal replies may hold anything but the closing brackets', () => {
    const prompt = 'a [[sim:fault=reset;times=2]] [[sim:reply={"x": [1]; "y": 2}]] b';
    expect(readMarkers(prompt)).toMatchObject({
      faults: [{ kind: 'reset', parameters: { times: '2' } }],
      reply: '{"x": [1]; "y": 2}',
    });
    expect(withoutMarkers(prompt)).toBe('a b');
    const encoded = Buffer.from('[[1]]').toString('base64');
    expect(readMarkers(`[[sim:reply_base64=${encoded}]]`).reply).toBe('[[1]]');
  });
});

describe('summaries', () => {
  it('know abbreviations from the ends of sentences', () => {
    expect(sentencesOf(TEXT)[0]).toBe('Mr. Hale bought the old mill in Oakford in 1911.');
    expect(sentencesOf(TEXT)).toHaveLength(6);
  });

  it('are the same each time, keep the order of the text and its length limits', () => {
    const summary = summarise(TEXT, { maxSentences: 3, maxCharacters: 260 });
    expect(summarise(TEXT, { maxSentences: 3, maxCharacters: 260 })).toBe(summary);
    expect(summary.length).toBeLessThanOrEqual(260);
    const places = sentencesOf(summary).map((sentence) => TEXT.indexOf(sentence));
    expect(places).toEqual([...places].sort((left, right) => left - right));
    expect(places).not.toContain(-1);
  });

  it('of notes take something from each and say nothing twice', () => {
    const merged = combineNotes(
      '- The mill ground corn for the farms.\n- The wheel was broken.\n- The mill ground corn for many farms.',
      {
        maxSentences: 8,
        maxCharacters: 400,
      },
    );
    expect(merged).toBe('The mill ground corn for the farms. The wheel was broken.');
  });
});

describe('labels', () => {
  it.each([
    ['Answer with one of: billing, technical, other.', ['billing', 'technical', 'other']],
    ['Classify this request as billing, technical or sales:', ['billing', 'technical', 'sales']],
    ['Reply with exactly one of "refund", "shipping", "other".', ['refund', 'shipping', 'other']],
    [
      'Pick the team: billing (payments, refunds), technical (bugs) or sales (licences).',
      ['billing', 'technical', 'sales'],
    ],
    ['Sentiment (positive|negative|neutral)?', ['positive', 'negative', 'neutral']],
    ['Choose a label:\n- code: programs\n- prose: everything else\n', ['code', 'prose']],
    ['Is the review positive or negative?', ['positive', 'negative']],
    ['Summarise the text.', []],
  ])('are found in %j', (instruction, names) => {
    expect(labelsIn(instruction).map((label) => label.name)).toEqual(names);
  });

  it('are chosen by what the prompt says of them before anything else', () => {
    const labels = labelsIn(
      'Choose one of: alpha, beta.\n- alpha: questions about boats\n- beta: questions about horses',
    );
    expect(classify('My horse has lost a shoe.', labels)).toBe('beta');
    expect(classify('The boat leaks.', labels)).toBe('alpha');
  });
});

describe('filled schemas', () => {
  const schemas: Readonly<Record<string, object>> = {
    nested: {
      type: 'object',
      required: ['title', 'items', 'note'],
      additionalProperties: false,
      properties: {
        title: { type: 'string', maxLength: 30 },
        items: {
          type: 'array',
          minItems: 2,
          maxItems: 3,
          items: {
            type: 'object',
            required: ['name', 'score'],
            additionalProperties: false,
            properties: { name: { type: 'string' }, score: { type: 'number', minimum: 0, maximum: 1 } },
          },
        },
        note: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      },
    },
    references: {
      type: 'object',
      required: ['root'],
      properties: { root: { $ref: '#/$defs/node' } },
      $defs: {
        node: {
          type: 'object',
          required: ['value', 'next'],
          properties: {
            value: { type: 'string' },
            next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
          },
        },
      },
    },
    formats: {
      type: 'object',
      required: ['mail', 'day', 'at', 'id', 'link', 'code', 'zip'],
      properties: {
        mail: { type: 'string', format: 'email' },
        day: { type: 'string', format: 'date' },
        at: { type: 'string', format: 'date-time' },
        id: { type: 'string', format: 'uuid' },
        link: { type: 'string', format: 'uri' },
        code: { type: 'string', pattern: '^[A-Z]{3}-\\d{4}(?:x|y)?$' },
        zip: { type: 'string', minLength: 5, maxLength: 5 },
      },
    },
    numbers: {
      type: 'object',
      required: ['year', 'even', 'share', 'rating', 'count'],
      properties: {
        year: { type: 'integer', minimum: 1900, maximum: 1999 },
        even: { type: 'integer', multipleOf: 2, minimum: 3, maximum: 9 },
        share: { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 },
        rating: { type: 'integer', minimum: 1, maximum: 5 },
        count: { type: ['integer', 'null'], minimum: 0 },
      },
    },
    choices: {
      type: 'object',
      required: ['kind', 'fixed', 'level', 'flags'],
      properties: {
        kind: { enum: ['building', 'animal'] },
        fixed: { const: 7 },
        level: { type: 'integer', enum: [1, 2, 3] },
        flags: { type: 'array', items: { enum: ['a', 'b', 'c'] }, uniqueItems: true, minItems: 1 },
      },
    },
    list: { type: 'array', items: { type: 'string' }, minItems: 2 },
  };

  it.each(Object.keys(schemas))('fit (%s), with text and without', (name) => {
    const schema = schemas[name] as JsonObject;
    for (const text of [TEXT, '', 'x']) {
      const value = fillSchema(schema, 'Extract the facts.', text);
      expect(misfits(value, schema, schema), JSON.stringify(value)).toEqual([]);
    }
  });

  it('are made of what the text says', () => {
    const value = fillSchema(
      {
        type: 'object',
        properties: {
          year: { type: 'integer', minimum: 1900 },
          email: { type: 'string' },
          people: { type: 'array', items: { type: 'string' } },
        },
      },
      '',
      `${TEXT} The miller, Edward Hale, was proud.`,
    ) as Record<string, unknown>;
    expect(value).toMatchObject({ year: 1911, email: 'hale@example.com' });
    expect(value['people']).toContain('Edward Hale');
  });

  it('sample simple patterns', () => {
    for (const pattern of ['^[a-f0-9]{8}$', '^(?:yes|no)$', '^\\w+@\\w+\\.com$', '^[^0-9]{2,4}\\.?$']) {
      expect(sampleOfPattern(pattern)).toMatch(new RegExp(pattern));
    }
  });
});

describe('strict schemas', () => {
  const good = {
    type: 'object',
    additionalProperties: false,
    required: ['a'],
    properties: { a: { type: 'string' } },
  };
  it('must close objects, require everything and be objects (OpenAI)', () => {
    expect(schemaProblem(good, 'openai_strict')).toBeNull();
    expect(schemaProblem({ ...good, additionalProperties: true }, 'openai_strict')).toContain(
      'additionalProperties',
    );
    expect(schemaProblem({ ...good, required: [] }, 'openai_strict')).toContain("Missing 'a'");
    expect(schemaProblem({ type: 'array', items: good }, 'openai_strict')).toContain('type: "object"');
    const inner = { ...good, properties: { a: { type: 'object', properties: {} } } };
    expect(schemaProblem(inner, 'openai_strict')).toContain("'properties', 'a'");
  });

  it('may have optional parts but no bounds (Anthropic)', () => {
    expect(schemaProblem({ ...good, required: [] }, 'anthropic')).toBeNull();
    expect(
      schemaProblem({ ...good, properties: { a: { type: 'string', maxLength: 5 } } }, 'anthropic'),
    ).toContain("'maxLength'");
  });
});

/** Where a value does not fit a schema: a small checker of its own, so that the filler is not its own judge. */
function misfits(value: unknown, given: JsonObject, root: JsonObject): readonly string[] {
  const reference = stringOf(given['$ref']);
  const schema =
    reference === null ? given : objectOf(objectOf(root['$defs'])[reference.replace('#/$defs/', '')]);
  const problems: string[] = [];
  const check = (fits: boolean, problem: string): void => {
    if (!fits) problems.push(`${problem}: ${JSON.stringify(value)}`);
  };
  if ('const' in schema) check(value === schema['const'], 'const');
  if ('enum' in schema) check(listOf(schema['enum']).includes(value), 'enum');
  const any = listOf(schema['anyOf']).filter(isObject);
  if (any.length > 0)
    check(
      any.some((each) => misfits(value, each, root).length === 0),
      'anyOf',
    );
  const types = [schema['type']].flat().filter((type) => typeof type === 'string');
  if (types.length > 0)
    check(
      types.some((type) => typeFits(value, type)),
      `type ${types.join('|')}`,
    );
  const bound = (name: string): number | null => numberOf(schema[name]);
  if (typeof value === 'number') {
    check(value >= (bound('minimum') ?? value) && value <= (bound('maximum') ?? value), 'bounds');
    check(
      value > (bound('exclusiveMinimum') ?? value - 1) && value < (bound('exclusiveMaximum') ?? value + 1),
      'open bounds',
    );
    check(value % (bound('multipleOf') ?? value) === 0 || value === 0, 'multipleOf');
  }
  if (typeof value === 'string') {
    check(
      value.length >= (bound('minLength') ?? 0) && value.length <= (bound('maxLength') ?? value.length),
      'length',
    );
    check(new RegExp(stringOf(schema['pattern']) ?? '').test(value), 'pattern');
    check((FORMATS[stringOf(schema['format']) ?? ''] ?? /^/).test(value), 'format');
  }
  if (Array.isArray(value)) {
    check(
      value.length >= (bound('minItems') ?? 0) && value.length <= (bound('maxItems') ?? value.length),
      'items',
    );
    if (schema['uniqueItems'] === true)
      check(new Set(value.map((item) => JSON.stringify(item))).size === value.length, 'unique');
    for (const item of value) problems.push(...misfits(item, objectOf(schema['items']), root));
  }
  if (isObject(value)) {
    for (const key of listOf(schema['required'])) check(String(key) in value, `required ${String(key)}`);
    for (const [key, child] of Object.entries(value)) {
      const property = objectOf(schema['properties'])[key];
      check(property !== undefined || schema['additionalProperties'] !== false, `additional ${key}`);
      problems.push(...misfits(child, objectOf(property), root));
    }
  }
  return problems;
}

function typeFits(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  email: /^[^@\s]+@[^@\s]+\.[^@\s]+$/,
  date: /^\d{4}-\d{2}-\d{2}$/,
  'date-time': /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/,
  uuid: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  uri: /^https?:\/\/\S+$/,
};
