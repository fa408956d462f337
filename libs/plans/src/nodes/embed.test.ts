import { defaultRequestLimits, planNodeSchema } from '@millrace/contracts';
import { describe, expect, test } from 'vitest';
import { checkPlan } from '../check/check-plan.ts';
import { call, createMemoryLedger, keysOf, wantedOf } from '../testing/memory-ledger.ts';

const embed = (text: unknown, more: object = {}) => ({
  type: 'embed',
  model: 'openai/text-embedding-3-small',
  text,
  ...more,
});

describe('an embed node', () => {
  test('is one step whose messages are the rendered texts', async () => {
    const ledger = createMemoryLedger(
      embed(['{{ input }}', 'fixed'], { dimensions: 8, encoding_format: 'base64' }),
      { input: 'river' },
    );
    const [step] = wantedOf(await ledger.advance());
    expect(step).toMatchObject({
      key: 'call',
      request: {
        model: 'openai/text-embedding-3-small',
        system: null,
        messages: [
          { role: 'user', content: 'river' },
          { role: 'user', content: 'fixed' },
        ],
        maxOutputTokens: null,
        embedding: { dimensions: 8, encoding: 'base64', single: false },
      },
    });
    ledger.complete('call', ['AAAA', 'AAAA']);
    expect(await ledger.advance()).toMatchObject({ kind: 'completed', output: ['AAAA', 'AAAA'] });
  });

  test('embeds each item of a map', async () => {
    const ledger = createMemoryLedger({
      type: 'map_reduce',
      items: ['grain', 'flour'],
      map: embed('{{ item }}'),
    });
    const advance = await ledger.advance();
    expect(keysOf(advance)).toEqual(['map[0]', 'map[1]']);
    expect(wantedOf(advance)[1]?.request).toMatchObject({
      messages: [{ content: 'flour' }],
      embedding: { encoding: 'float', single: true },
    });
    ledger.complete('map[0]', [1, 2]);
    ledger.complete('map[1]', [3, 4]);
    expect(await ledger.advance()).toMatchObject({
      kind: 'completed',
      output: [
        [1, 2],
        [3, 4],
      ],
    });
  });
});

describe('the check of an embed node', () => {
  const problems = (plan: unknown): string[] => {
    const check = checkPlan(planNodeSchema.parse(plan), {
      limits: defaultRequestLimits,
      isKnownTarget: (target) => 'route' in target || !target.model.startsWith('unknown/'),
      findUnembeddable: ({ model }) =>
        model?.startsWith('anthropic/') === true ? 'it does not support embeddings' : null,
      findDimensions: ({ model }) => (model?.endsWith('large') === true ? 3_072 : null),
      findOversize: ({ characters, maxOutputTokens }) =>
        characters > 100 ? `asks for ${characters} and ${maxOutputTokens}` : null,
    });
    return check.ok ? [] : check.errors.map(({ path, message }) => `${path}: ${message}`);
  };

  test.each([
    ['neither route nor model', { model: undefined }, ': a call needs a route or a model'],
    ['an unknown model', { model: 'unknown/x' }, 'model: no model "unknown/x" is configured'],
    ['a provider without embeddings', { model: 'anthropic/x' }, 'model: it does not support embeddings'],
    ['a broken template', { text: ['fine', '{{ item | nothing }}'] }, /^text\[1\]: /],
    ['more than the pool takes', { text: 'x'.repeat(101) }, ': the call asks for 101 and 0'],
    [
      'vectors that nobody could hold',
      { text: Array.from({ length: 2_048 }, () => 'x'), dimensions: 3_072 },
      /^text: the vectors would have more than/,
    ],
    [
      'as many of a model that has twice the numbers unless it is told',
      { text: Array.from({ length: 300 }, () => 'x'), model: 'openai/text-embedding-3-large' },
      /^text: the vectors would have more than/,
    ],
  ])('refuses %s', (_what, more, expected) => {
    const [first] = problems(embed('fine', more));
    expect(first).toMatch(expected);
  });

  test('refuses vectors where words are needed', () => {
    expect(problems({ type: 'router', classify: embed('x'), routes: { a: call('x') } })).toEqual([
      'classify: a text is needed here, and "embed" answers with a vector',
    ]);
    const map = { type: 'map_reduce', items: ['x'], map: embed('{{ item }}') };
    expect(problems(map)).toEqual([]);
    expect(problems({ ...map, reduce: embed('x') })[0]).toContain('reduce: a text is needed');
  });

  test.each([[[]], [['']], [''], [[1, 2]], [[[1], [2]]], [Array.from({ length: 2_049 }, () => 'x')]])(
    'takes no text such as %j',
    (text) => {
      const issues = planNodeSchema.safeParse(embed(text)).error?.issues ?? [];
      expect(issues.map(({ path }) => path[0])).toEqual(['text']);
    },
  );

  test('says that tokens are not taken', () => {
    const issues = planNodeSchema.safeParse(embed([1, 2])).error?.issues;
    expect(issues).toMatchObject([
      { path: ['text'], message: 'a text, or 1 to 2048 texts, none empty; tokens are not taken' },
    ]);
  });
});
