import { expect, test } from 'vitest';
import { TemplateError, createTemplateEngine } from './template-engine.ts';

const engine = createTemplateEngine({ maxTextCharacters: 1_000_000 });
const render = (text: string, scope: object = {}) => engine.render(text, scope, 'prompt');

test('lists and objects print as JSON, texts as they are, nothing as nothing', () => {
  const scope = { input: { a: [1, 'x'], n: null, t: true, zero: 0 }, items: ['p', { q: 1 }] };
  expect(render('{{ input }} {{ input.a }} {{ items }}', scope)).toBe(
    '{"a":[1,"x"],"n":null,"t":true,"zero":0} [1,"x"] ["p",{"q":1}]',
  );
  expect(render('{{ items | join: "; " }}', scope)).toBe('p; {"q":1}');
  expect(render('{% for i in items %}{{ i }}|{% endfor %}', scope)).toBe('p|{"q":1}|');
  expect(render('{{ input | json }}', { input: ['a'] })).toBe('["a"]');
  expect(
    render('[{{ input.n }}{{ input.none.deep }}{{ nope }}{{ empty }}] {{ input.t }} {{ input.zero }}', scope),
  ).toBe('[] true 0');
});

test('only own properties can be read', () => {
  expect(
    render('[{{ constructor }}{{ input.constructor }}{{ input.__proto__ }}{{ input.toString }}]', {
      input: {},
    }),
  ).toBe('[]');
});

test('data is never a template', () => {
  expect(render('{{ input }}', { input: '{{ params.secret }}{% raw %}' })).toBe(
    '{{ params.secret }}{% raw %}',
  );
});

test('the scope stays as it was', () => {
  const scope = { input: { a: [3, 1, 2] }, items: [1] };
  render(
    '{% assign input = 1 %}{% capture items %}x{% endcapture %}{{ input.a | sort | reverse | push: 4 }}',
    scope,
  );
  expect(scope).toEqual({ input: { a: [3, 1, 2] }, items: [1] });
});

test('dates are UTC, and there is no clock', () => {
  expect(render('{{ "2026-11-20T23:30:00Z" | date: "%Y-%m-%d %H:%M" }}')).toBe('2026-11-20 23:30');
  for (const now of ['now', 'today']) {
    expect(() => render(`{{ "${now}" | date: "%s" }}`)).toThrow(TemplateError);
    expect(() => render('{{ input | date_to_xmlschema }}', { input: now })).toThrow(TemplateError);
  }
});

test('half surrogate pairs become U+FFFD, NUL stays', () => {
  expect(render('{{ input }}', { input: 'a\ud800b\0' })).toBe('a\ufffdb\0');
  expect(render('plain \udc00')).toBe('plain \ufffd');
});

test.each([
  ['a list without end', '{% for i in (1..1000000000) %}a{% endfor %}'],
  [
    'a text that doubles',
    '{% assign a = "xx" %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}',
  ],
  ['a text that is too large', '{% for i in (1..200) %}{{ input }}{% endfor %}'],
])('%s is stopped', (_name, template) => {
  const begin = performance.now();
  expect(() => render(template, { input: 'x'.repeat(10_000) })).toThrow(/^prompt: /);
  expect(performance.now() - begin).toBeLessThan(1_000);
});
