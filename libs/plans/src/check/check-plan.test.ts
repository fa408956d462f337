import { defaultRequestLimits, planNodeSchema } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { checkPlan, createOutputValidators } from '../index.ts';

const validators = createOutputValidators({ maxEntries: 10 });
const knownRoutes = ['cheap', 'quality'];

function check(plan: unknown, limits: Partial<typeof defaultRequestLimits> = {}) {
  return checkPlan(planNodeSchema.parse(plan), {
    limits: { ...defaultRequestLimits, ...limits },
    isKnownTarget: (target) =>
      'route' in target ? knownRoutes.includes(target.route) : target.model === 'openai/m',
    validators,
  });
}
const call = (more: object = {}) => ({ type: 'call', route: 'cheap', prompt: 'x', ...more });
const chainOf = (...steps: object[]) => ({
  type: 'chain',
  steps: steps.map((step, index) => ({ name: `s${index}`, ...step })),
});
const problem = (plan: unknown, limits: Partial<typeof defaultRequestLimits> = {}) => {
  const result = check(plan, limits);
  if (result.ok) throw new Error('the plan was accepted');
  return { code: result.code, errors: result.errors.map(({ path, message }) => `${path}: ${message}`) };
};

test('sampling that nobody behind a route could do is refused by name, what happens anyway is not', () => {
  const asked = (more: object) =>
    checkPlan(planNodeSchema.parse(call(more)), {
      limits: defaultRequestLimits,
      isKnownTarget: () => true,
      findUnsampled: ({ route }) => (route === 'cheap' ? 'nobody does' : null),
    });
  expect(asked({ temperature: 0.2, top_p: 0.5 })).toMatchObject({
    ok: false,
    code: 'validation_failed',
    errors: [
      { path: 'temperature', message: 'nobody does' },
      { path: 'top_p', message: 'nobody does' },
    ],
  });
  expect(asked({ temperature: 1, top_p: 1 }).ok).toBe(true);
  expect(asked({ temperature: 0, route: 'other' }).ok).toBe(true);
});

test('a good plan is accepted with its depth and its number of nodes', () => {
  const plan = {
    type: 'map_reduce',
    document: { text: 'A text' },
    split: { max_tokens: 1500, overlap_tokens: 100 },
    map: chainOf(
      call({
        system: 'Be {{ params.tone | default: "kind" }}',
        prompt: '{{ item }} {{ index }} {{ input.a[0] }}',
      }),
      call({ model: 'openai/m', route: undefined, prompt: '{{ steps.s0 }}' }),
    ),
    reduce: call({
      route: 'quality',
      prompt: '{% for n in items limit: 3 %}{{ forloop.index }} {{ n }}{% endfor %}',
    }),
  };
  expect(check(plan)).toEqual({ ok: true, stats: { depth: 3, nodes: 5 } });
});

test.each([
  ['no target', call({ route: undefined }), 'validation_failed', [': a call needs a route or a model']],
  [
    'two targets',
    call({ model: 'openai/m' }),
    'validation_failed',
    ['model: route and model exclude each other'],
  ],
  ['no prompt', call({ prompt: undefined }), 'validation_failed', [': a call needs a prompt or messages']],
  [
    'two prompts',
    call({ messages: [{ role: 'user', content: 'x' }] }),
    'validation_failed',
    ['messages: prompt and messages exclude each other'],
  ],
  ['unknown route', call({ route: 'cheep' }), 'unknown_model', ['route: no route "cheep" is configured']],
  [
    'unknown model',
    call({ route: undefined, model: 'openai/n' }),
    'unknown_model',
    ['model: no model "openai/n" is configured'],
  ],
  [
    'too many tokens',
    call({ max_output_tokens: 200_000 }),
    'validation_failed',
    ['max_output_tokens: at most 128000 may be asked for'],
  ],
  [
    'names twice',
    chainOf({ ...call(), name: 'a' }, { ...call(), name: 'a' }),
    'validation_failed',
    ['steps[1].name: the name "a" is taken by an earlier step'],
  ],
  [
    'no routes',
    { type: 'router', classify: call(), routes: {} },
    'validation_failed',
    ['routes: at least one route is needed'],
  ],
  ['no branches', { type: 'fan_out' }, 'validation_failed', [': branches, or count and node, are needed']],
  [
    'empty branches',
    { type: 'fan_out', branches: {} },
    'validation_failed',
    ['branches: at least one branch is needed'],
  ],
  ['a count alone', { type: 'fan_out', count: 2 }, 'validation_failed', ['node: count needs a node']],
  ['a node alone', { type: 'fan_out', node: call() }, 'validation_failed', ['count: node needs a count']],
  [
    'branches and count',
    { type: 'fan_out', branches: { a: call() }, count: 2 },
    'validation_failed',
    ['count: branches and count exclude each other'],
  ],
  [
    'a branch that shadows the judge',
    { type: 'fan_out', branches: { judge: call() }, join: { judge: call() } },
    'validation_failed',
    ['branches.judge: a fan-out with a judge cannot have a branch named "judge"'],
  ],
  [
    'nothing to map',
    { type: 'map_reduce', map: call() },
    'validation_failed',
    [': a document or items are needed'],
  ],
  [
    'two sources',
    { type: 'map_reduce', document: { text: 'x' }, items: ['x'], map: call() },
    'validation_failed',
    ['items: document and items exclude each other'],
  ],
  [
    'split items',
    { type: 'map_reduce', items: ['x'], split: { max_tokens: 100 }, map: call() },
    'validation_failed',
    ['split: only a document is split'],
  ],
  [
    'too much overlap',
    {
      type: 'map_reduce',
      document: { text: 'x' },
      split: { max_tokens: 100, overlap_tokens: 60 },
      map: call(),
    },
    'validation_failed',
    ['split.overlap_tokens: an overlap may have half of max_tokens, here 50'],
  ],
])('a plan with this is refused: %s', (_name, plan, code, errors) => {
  expect(problem(plan)).toEqual({ code, errors });
});

test('all problems are reported at once, with their paths, and the gravest names the code', () => {
  const { code, errors } = problem({
    type: 'router',
    classify: call({ prompt: '{{ imput }}' }),
    routes: {
      a: chainOf(call({ route: 'none' }), {
        type: 'fan_out',
        join: { judge: call({ system: '{{ input }}' }) },
        count: 2,
        node: call(),
      }),
    },
    default: {
      type: 'map_reduce',
      items: ['a'],
      map: call({ messages: [{ role: 'user', content: '{{ x' }], prompt: undefined }),
    },
  });
  expect(code).toBe('system_uses_data');
  expect(errors.map((each) => each.split(':')[0])).toEqual([
    'classify.prompt',
    'routes.a.steps[0].route',
    'routes.a.steps[1].join.judge.system',
    'default.map.messages[0].content',
  ]);
});

test.each([
  '{{ input }}',
  '{{ steps.a.b }}',
  '{{ params.a | append: items[0] }}',
  '{{ params.a | default: item, allow_false: index }}',
  '{{ params[input.key] }}',
  '{{ params["a"][steps.b] }}',
  '{% assign x = input.a %}{{ x }}',
  '{% capture x %}{{ item }}{% endcapture %}',
  '{% for i in input.list %}{% endfor %}',
  '{% for i in params.list limit: input.n %}{% endfor %}',
  '{% for i in (1..input.n) %}{% endfor %}',
  '{% if params.a == input.b %}{% endif %}',
  '{% if params.a and steps.b %}{% endif %}',
  '{% unless params.a %}{% elsif input %}{% endunless %}',
  '{% case params.a %}{% when input.a %}{% endcase %}',
  '{% cycle input.a, "b" %}',
  '{% cycle items: "a", "b" %}',
  '{% echo input %}',
  '{% liquid\n assign q = params.a\n echo input.q %}',
  '{% tablerow r in params.l cols: input.c %}{% endtablerow %}',
  '{% if params.a %}{% assign input = params.b %}{% endif %}{{ input }}',
  '{{ unknown }}',
  '{{ "a" | where: "x", input }}',
  '{{ [input.name] }}',
  '{{- input -}}',
])('a system text that reads data is refused: %s', (system) => {
  expect(problem(call({ system })).code).toBe('system_uses_data');
});

test.each([
  'No template at all',
  '{{ params.tone }}',
  '{% assign t = params.tone | upcase %}{{ t }}',
  '{% for r in params.rules %}{{ forloop.index }}. {{ r }}{% endfor %}',
  '{% raw %}{{ input }}{% endraw %}{% comment %}{{ input }}{% endcomment %}',
  'The word input, {items} and {{ "input" }}',
])('a system text that reads params only is accepted: %s', (system) => {
  expect(check(call({ system }))).toMatchObject({ ok: true });
});

test.each([
  ['{% include "x" %}', 'tag "include" not found'],
  ['{% render "x" %}', 'tag "render" not found'],
  ['{% layout "x" %}', 'tag "layout" not found'],
  ['{% increment input %}', 'tag "increment" not found'],
  ['{{ input | sample }}', 'undefined filter: sample'],
  ['{{ items | where_exp: "x", "x == input" }}', 'undefined filter: where_exp'],
  ['{{ input | nope }}', 'undefined filter: nope'],
  ['{{ input', 'not closed'],
  ['{% if input %}', 'not closed'],
  ['{{ imput }}', 'unknown variable "imput"; did you mean "input"?'],
  ['{{ step.a }}', 'unknown variable "step.a"; did you mean "steps"?'],
  ['{{ x }}{% assign x = 1 %}', 'unknown variable "x"; there are input, params'],
])('a template that cannot work is refused at intake: %s', (prompt, message) => {
  const { code, errors } = problem(call({ prompt }));
  expect(code).toBe('template_invalid');
  expect(errors).toEqual([expect.stringContaining(`prompt: ${message}`.replace('prompt: not', 'not'))]);
});

test('depth, nodes, texts and items have caps, named in the text', () => {
  const deep = chainOf(chainOf(chainOf(call())));
  expect(check(deep)).toMatchObject({ ok: true, stats: { depth: 4 } });
  expect(problem(deep, { maxPlanDepth: 3 })).toEqual({
    code: 'plan_too_deep',
    errors: ['steps[0].steps[0].steps[0]: a plan may be nested 3 deep'],
  });
  expect(problem(chainOf(call(), call(), call()), { maxPlanNodes: 3 }).code).toBe('plan_too_large');
  expect(problem(call({ prompt: 'x'.repeat(11) }), { maxTextCharacters: 10 })).toEqual({
    code: 'prompt_too_large',
    errors: ['prompt: a text may have 10 characters; this has 11'],
  });
  expect(problem({ type: 'map_reduce', items: [1, 2, 3], map: call() }, { maxMapChunks: 2 })).toEqual({
    code: 'plan_too_large',
    errors: ['items: one map may have 2 items, not 3'],
  });
  const document = { text: 'corn '.repeat(10_000) };
  expect(
    problem({ type: 'map_reduce', document, split: { max_tokens: 16 }, map: call() }, { maxMapChunks: 100 }),
  ).toMatchObject({ code: 'plan_too_large' });
});

const nested = (depth: number): object => (depth === 0 ? {} : { items: nested(depth - 1) });
test.each([
  ['a type that there is not', { type: 'strng' }],
  ['a remote reference', { $ref: 'https://example.com/x.json' }],
  ['a reference to nothing', { $ref: '#/$defs/none' }],
  ['another dialect', { $schema: 'http://json-schema.org/draft-04/schema#' }],
  ['asynchronous validation', { $async: true }],
  ['a pattern that is none', { type: 'string', pattern: '(' }],
  ['a catastrophic pattern', { type: 'string', pattern: '^(a+)+$' }],
  ['a catastrophic pattern of alternatives', { type: 'string', pattern: '^(a|aa)*b$' }],
  ['a catastrophic pattern for names', { patternProperties: { '(x*)*y': {} } }],
  ['too deep', nested(40)],
  [
    'so deep that the stack would not hold',
    JSON.parse(`${'{"not":'.repeat(20_000)}{}${'}'.repeat(20_000)}`) as object,
  ],
  ['too large', { description: 'x'.repeat(70_000) }],
])('an output schema is refused: %s', (_name, schema) => {
  const { code, errors } = problem(call({ output: { schema } }));
  expect(code).toBe('output_schema_invalid');
  expect(errors[0]).toMatch(/^output\.schema/);
});

test.each([
  [{ type: 'object', properties: { email: { type: 'string', format: 'email' } }, required: ['email'] }],
  [{ $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'string' }] }],
  [
    {
      $schema: 'http://json-schema.org/draft-07/schema#',
      items: [{ type: 'string' }],
      additionalItems: false,
    },
  ],
  [
    {
      $ref: '#/$defs/tree',
      $defs: { tree: { properties: { children: { items: { $ref: '#/$defs/tree' } } } } },
    },
  ],
  [{ $id: 'https://example.com/a', type: 'string', pattern: '^[A-Z]{2}-\\d{4}(?:-[a-z]+)?$' }],
  [{ type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$', 'x-note': 'unknown keywords are ignored' }],
])('an output schema is accepted: %j', (schema) => {
  expect(check(call({ output: { schema } }))).toMatchObject({ ok: true });
  expect(check(call({ output: { schema } }))).toMatchObject({ ok: true });
});

test('checking a small plan takes less than 1 ms', () => {
  const plan = planNodeSchema.parse(
    chainOf(call({ prompt: '{{ input }}', system: '{{ params.x }}' }), call({ prompt: '{{ steps.s0 }}' })),
  );
  const options = { limits: defaultRequestLimits, isKnownTarget: () => true };
  for (let warmup = 0; warmup < 200; warmup += 1) checkPlan(plan, options);
  const timesMs = Array.from({ length: 200 }, () => {
    const begin = performance.now();
    checkPlan(plan, options);
    return performance.now() - begin;
  });
  expect(timesMs.sort((a, b) => a - b)[100]).toBeLessThan(1);
});

test('an escalation needs a place that is known and a condition that can come true', () => {
  const escalate = (to: string, when: object, more: object = {}) => call({ escalate: { to, when }, ...more });
  const output = { schema: { type: 'object' } };
  expect(check(escalate('quality', { logprob_below: -0.5 }))).toMatchObject({ ok: true });
  expect(check(escalate('openai/m', { schema_invalid: true }, { output }))).toMatchObject({ ok: true });
  const judge = { score: 0.5, by: 'cheap', rubric: 'Be {{ params.tone }}' };
  expect(check(escalate('quality', { judge_below: judge }))).toMatchObject({ ok: true });

  expect(problem(escalate('qualty', { logprob_below: -1 }))).toEqual({
    code: 'unknown_model',
    errors: ['escalate.to: no route "qualty" is configured'],
  });
  expect(problem(escalate('openai/x', { judge_below: { score: 0.5, by: 'none/m' } })).errors).toEqual([
    'escalate.to: no model "openai/x" is configured',
    'escalate.when.judge_below.by: no model "none/m" is configured',
  ]);
  for (const when of [{}, { schema_invalid: false }]) {
    expect(problem(escalate('quality', when)).errors[0]).toMatch(/^escalate\.when: at least one/);
  }
  expect(problem(escalate('quality', { schema_invalid: true })).errors[0]).toMatch(
    /^escalate\.when\.schema_invalid: a call without an output schema/,
  );
  const rubric = { score: 0.5, by: 'cheap', rubric: 'Is {{ input }} good?' };
  expect(problem(escalate('quality', { judge_below: rubric }))).toMatchObject({
    code: 'system_uses_data',
    errors: [expect.stringMatching(/^escalate\.when\.judge_below\.rubric: /)],
  });
});

test('an escalation inside a plan is checked at its own path', () => {
  const plan = chainOf(call(), call({ escalate: { to: 'none', when: { logprob_below: -1 } } }));
  expect(problem(plan).errors[0]).toMatch(/^steps\[1\]\.escalate\.to: /);
});
