import { expect, test } from 'vitest';
import { createOutputValidator, createOutputValidators, repairMessages } from '../index.ts';

const person = {
  type: 'object',
  properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 }, kind: { enum: ['a', 'b'] } },
  required: ['name'],
  additionalProperties: false,
};
const validate = createOutputValidator(person);
const refusal = (text: string, check = validate) => {
  const result = check(text);
  if (result.ok) throw new Error('the answer was accepted');
  return result;
};

test.each([
  '{"name":"Ada"}',
  '  {"name":"Ada"}\n',
  '```json\n{"name":"Ada"}\n```',
  '```\n{"name":"Ada"}```',
  'Here it is:\n```JSON\n{\n"name": "Ada"\n}\n```\nI hope this helps.',
  '\uFEFF{"name":"Ada"}',
])('a good answer is read, with or without a fence: %j', (text) => {
  expect(validate(text)).toEqual({ ok: true, value: { name: 'Ada' } });
});

test('a fence inside the JSON is content', () => {
  const value = { name: '```js\nx\n```' };
  expect(validate(JSON.stringify(value))).toEqual({ ok: true, value });
  expect(validate(`\`\`\`json\n${JSON.stringify(value)}\n\`\`\``)).toEqual({ ok: true, value });
});

test('feedback says where and what is wrong', () => {
  expect(refusal('{"age":-1,"kind":"c","extra":1}').feedback.split('\n')).toEqual([
    'The answer does not fit the JSON schema:',
    "- the answer: must have required property 'name'",
    '- the answer: must NOT have additional properties (extra)',
    '- /age: must be >= 0',
    '- /kind: must be equal to one of the allowed values: ["a","b"]',
  ]);
  expect(refusal('').feedback).toBe('The answer is not valid JSON: it is empty.');
  expect(refusal('{"name":').feedback).toBe('The answer is not valid JSON: it ends too early.');
  expect(refusal('{"name": nope}').feedback).toMatch(/^The answer is not valid JSON: /);
});

test('feedback echoes less than 500 characters of the answer', () => {
  const name = 'q'.repeat(300);
  const answer = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [name + index, index]));
  const { feedback } = refusal(JSON.stringify({ name: 'x', ...answer }));
  expect(feedback.match(/q/g)?.length).toBeLessThan(500);
  const check = createOutputValidator({ additionalProperties: { type: 'string' } });
  expect(refusal(JSON.stringify(answer), check).feedback.match(/q/g)?.length).toBeLessThan(500);
  expect(refusal('q'.repeat(10_000)).feedback.match(/q/g)?.length ?? 0).toBeLessThan(500);
});

test('the same wrong answer has the same fingerprint, whatever its layout', () => {
  const first = refusal('{"age":-1,"kind":"c"}');
  expect(refusal('```json\n{ "kind": "c",\n "age": -1 }\n```').fingerprint).toBe(first.fingerprint);
  expect(refusal('{"age":-2,"kind":"c"}').fingerprint).not.toBe(first.fingerprint);
  expect(refusal('no  json').fingerprint).toBe(refusal(' no json\n').fingerprint);
  expect(first.fingerprint).toMatch(/^[0-9a-f]{64}$/);
});

test('an answer that is nested without end is refused, not followed', () => {
  const anything = createOutputValidator({});
  expect(refusal('['.repeat(50_000) + ']'.repeat(50_000), anything).feedback).toMatch(/nested/);
  expect(anything('[[[[1]]]]')).toEqual({ ok: true, value: [[[[1]]]] });
});

test('formats and patterns are checked, and no pattern runs long', () => {
  const check = createOutputValidator({
    properties: {
      email: { type: 'string', format: 'email' },
      code: { type: 'string', pattern: '^x*x*x*y$' },
    },
  });
  expect(check('{"email":"a@example.com","code":"xxy"}').ok).toBe(true);
  expect(refusal('{"email":"nobody"}', check).feedback).toContain('/email');
  const begin = performance.now();
  expect(check(JSON.stringify({ code: 'x'.repeat(200_000) })).ok).toBe(false);
  expect(performance.now() - begin).toBeLessThan(500);
});

test.each([
  ['polynomial of a high degree', { type: 'string', pattern: '(.*)(.*)(.*)(.*)(.*)[0-9]$' }],
  ['exponential within bounds', { type: 'string', pattern: '^(?:[a-z]{1,16}){1,16}$' }],
])('a check that would take for ever is broken off: %s', (_name, schema) => {
  const check = createOutputValidator(schema);
  const startedAt = performance.now();
  expect(refusal(JSON.stringify(`${'a'.repeat(5_000)}!`), check).feedback).toBe(
    'The answer takes too long to check against the JSON schema; keep its texts short and simple.',
  );
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(check('1')).toMatchObject({ ok: false });
});

test('schemas that share an $id do not know each other', () => {
  const validators = createOutputValidators({ maxEntries: 2 });
  const text = validators.for({ $id: 'https://example.com/s', type: 'string' });
  const number = validators.for({ $id: 'https://example.com/s', type: 'number' });
  expect([text('"a"').ok, text('1').ok, number('"a"').ok, number('1').ok]).toEqual([
    true,
    false,
    false,
    true,
  ]);
  expect(() => validators.for({ $ref: 'https://example.com/s' })).toThrow();
});

test('the validators used last are remembered, whatever the order of a schema’s keys', () => {
  const validators = createOutputValidators({ maxEntries: 2 });
  const a = validators.for({ type: 'string', minLength: 1 });
  validators.for({ type: 'number' });
  expect(validators.for({ minLength: 1, type: 'string' })).toBe(a);
  validators.for({ type: 'boolean' });
  expect(validators.for({ type: 'string', minLength: 1 })).toBe(a);
  validators.for({ type: 'number' });
  validators.for({ type: 'boolean' });
  expect(validators.for({ type: 'string', minLength: 1 })).not.toBe(a);
});

test('a repair shows the model its answer and what is wrong with it', () => {
  const request = {
    kind: 'call' as const,
    route: 'cheap',
    model: null,
    system: 's',
    messages: [{ role: 'user' as const, content: 'Who?' }],
    output: { schema: person, name: 'output' },
    maxOutputTokens: 10,
    stream: false,
  };
  expect(repairMessages(request, '{"age":-1}', 'Feedback.')).toEqual([
    { role: 'user', content: 'Who?' },
    { role: 'assistant', content: '{"age":-1}' },
    { role: 'user', content: expect.stringMatching(/^Feedback\.\n\n/) as string },
  ]);
  expect(repairMessages(request, ' \n', 'F')[1]).toEqual({ role: 'assistant', content: '(empty)' });
  expect(request.messages).toHaveLength(1);
});
