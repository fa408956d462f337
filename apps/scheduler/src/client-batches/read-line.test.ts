import { Readable } from 'node:stream';
import { createFindOversize } from '@millrace/capacity';
import { defaultRequestLimits } from '@millrace/contracts';
import { checkPlan } from '@millrace/plans';
import { describe, expect, it } from 'vitest';
import { LineProblem } from './line-problem.ts';
import { readLine } from './read-line.ts';
import type { LineRequest } from './read-line.ts';
import { readLines } from './read-lines.ts';

const read = (endpoint: string, body: object): LineRequest =>
  readLine(JSON.stringify({ custom_id: 'x', method: 'POST', url: endpoint, body }), {
    endpoint,
    resolveModel: (name) => (name === 'cheap' ? { route: name } : { model: `openai/${name}` }),
    checkPlan: () => [],
  });
const chat = (body: object): LineRequest =>
  read('/v1/chat/completions', { model: 'cheap', messages: [{ role: 'user', content: 'hi' }], ...body });
const respond = (body: object): LineRequest =>
  read('/v1/responses', { model: 'cheap', input: 'hi', ...body });

function paramOf(work: () => unknown): string | null {
  try {
    work();
  } catch (error) {
    if (error instanceof LineProblem) return error.param;
    throw error;
  }
  throw new Error('was not refused');
}

describe('a line that no minute of its pool can hold', () => {
  const limits = { ...defaultRequestLimits, defaultMaxOutputTokens: 100 };
  const pools = new Map([['openai', { limits: { tokens: 500 } }]]);
  const findOversize = createFindOversize({ pools, routes: new Map(), limits }, () => 'openai');
  const readChecked = (body: object) =>
    readLine(
      JSON.stringify({
        custom_id: 'x',
        method: 'POST',
        url: '/v1/chat/completions',
        body: { model: 'gpt', messages: [{ role: 'user', content: 'hi' }], ...body },
      }),
      {
        endpoint: '/v1/chat/completions',
        resolveModel: () => ({ model: 'openai/gpt' }),
        checkPlan: (plan) => {
          const check = checkPlan(plan, { limits, isKnownTarget: () => true, findOversize });
          return check.ok ? [] : check.errors;
        },
      },
    );

  it('is refused with the field and the limit', () => {
    expect(paramOf(() => readChecked({ max_tokens: 501 }))).toBe('body.max_completion_tokens');
    const long = [{ role: 'user', content: 'word '.repeat(500) }];
    expect(paramOf(() => readChecked({ messages: long }))).toBe('body');
    expect(() => readChecked({ messages: long })).toThrow('the pool "openai" may take 500 per minute');
    expect(readChecked({ max_tokens: 400 }).customId).toBe('x');
  });
});

describe('a line', () => {
  it('becomes a call whose texts are data, not templates', () => {
    const request = chat({
      messages: [
        { role: 'system', content: 'Be {{ kind }}.' },
        { role: 'developer', content: 'Be brief.' },
        { role: 'user', content: 'What is {{ input }}?' },
        { role: 'assistant', content: 'A tag.' },
        { role: 'user', content: [{ type: 'text', text: '{% if %}' }] },
      ],
    });
    expect(request).toMatchObject({
      plan: {
        type: 'call',
        route: 'cheap',
        system: '{{ params.system }}',
        messages: [
          { role: 'user', content: '{{ input.texts[0] }}' },
          { role: 'assistant', content: 'A tag.' },
          { role: 'user', content: '{{ input.texts[1] }}' },
        ],
      },
      input: { texts: ['What is {{ input }}?', '{% if %}'] },
      params: { system: 'Be {{ kind }}.\n\nBe brief.' },
    });
  });

  it('may name what happens anyway, and nulls', () => {
    const { plan } = chat({
      n: 1,
      temperature: 1,
      stream: false,
      tools: [],
      seed: null,
      service_tier: 'auto',
    });
    expect(plan).toEqual({ type: 'call', route: 'cheap', messages: [{ role: 'user', content: 'hi' }] });
    expect(respond({ store: false, truncation: 'disabled', tool_choice: 'auto' }).plan).toEqual(plan);
  });

  it('may say who asks and what the vendor should keep, which changes nothing of the answer', () => {
    const keys = { prompt_cache_key: 'k', prompt_cache_retention: '24h' };
    const idle = { user: 'u_1', store: true, safety_identifier: 's', ...keys };
    const { plan } = chat({ ...idle, parallel_tool_calls: false, tool_choice: 'none' });
    expect(plan).toEqual({ type: 'call', route: 'cheap', messages: [{ role: 'user', content: 'hi' }] });
    expect(respond({ ...idle, parallel_tool_calls: false }).plan).toEqual(plan);
  });

  it('may name the participants as long as a role has one, which tells nobody apart', () => {
    const { plan } = chat({
      messages: [
        { role: 'system', content: 'Be brief.', name: 'rules' },
        { role: 'user', content: 'One.', name: 'ann' },
        { role: 'assistant', content: 'Yes.', name: null },
        { role: 'user', content: 'Two.', name: 'ann' },
      ],
    });
    expect(plan).toMatchObject({
      system: 'Be brief.',
      messages: [
        { role: 'user', content: 'One.' },
        { role: 'assistant', content: 'Yes.' },
        { role: 'user', content: 'Two.' },
      ],
    });
  });

  it('hands the description of its format to the model with the schema', () => {
    const schema = { type: 'object' };
    const format = { name: 'verdict', schema, description: 'A verdict.' };
    const described = { schema: { type: 'object', description: 'A verdict.' }, name: 'verdict' };
    const asChat = (json_schema: object) => chat({ response_format: { type: 'json_schema', json_schema } });
    expect(asChat(format).plan).toMatchObject({ output: described });
    expect(respond({ text: { format: { type: 'json_schema', ...format } } }).plan).toMatchObject({
      output: described,
    });
    const both = { ...format, schema: { ...schema, description: 'Of one case.' } };
    expect(asChat(both).plan).toMatchObject({
      output: { schema: { description: 'A verdict.\n\nOf one case.' } },
    });
    expect(asChat({ ...format, description: null }).plan).toMatchObject({ output: { schema } });
  });

  it('asks for the temperature and the top_p that it names', () => {
    for (const { plan } of [chat({ temperature: 0, top_p: 0.3 }), respond({ temperature: 0, top_p: 0.3 })]) {
      expect(plan).toMatchObject({ temperature: 0, top_p: 0.3 });
    }
    expect(chat({ temperature: null }).plan).not.toHaveProperty('temperature');
  });

  it.each([
    [{ temperature: 2.1 }, 'body.temperature'],
    [{ temperature: '0' }, 'body.temperature'],
    [{ top_p: 1.5 }, 'body.top_p'],
    [{ tools: [{}] }, 'body.tools'],
    [{ tool_choice: 'required' }, 'body.tool_choice'],
    [{ seed: 7 }, 'body.seed'],
    [{ stop: ['x'] }, 'body.stop'],
    [{ logit_bias: { 5: -100 } }, 'body.logit_bias'],
    [{ n: 3 }, 'body.n'],
    [{ stream: true }, 'body.stream'],
    [{ reasoning_effort: 'low' }, 'body.reasoning_effort'],
    [{ response_format: { type: 'json_object' } }, 'body.response_format.type'],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
      'body.response_format.json_schema.schema',
    ],
    [{ max_tokens: 0 }, 'body.max_tokens'],
    [{ messages: [] }, 'body.messages'],
    [{ messages: [{ role: 'user', content: '' }] }, 'body.messages[0].content'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'body.messages[0].role'],
    [{ messages: [{ role: 'user', content: 'x', name: 7 }] }, 'body.messages[0].name'],
    [
      {
        messages: [
          { role: 'user', content: 'x', name: 'ann' },
          { role: 'user', content: 'y', name: 'bob' },
        ],
      },
      'body.messages[1].name',
    ],
    [
      {
        messages: [
          { role: 'user', content: 'x', name: 'ann' },
          { role: 'user', content: 'y' },
        ],
      },
      'body.messages[1].name',
    ],
    [{ messages: [{ role: 'user', content: 'x', tool_calls: [{}] }] }, 'body.messages[0].tool_calls'],
    [{ verbosity: 'low' }, 'body.verbosity'],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {}, description: 7 } } },
      'body.response_format.json_schema.description',
    ],
    [
      {
        messages: [
          { role: 'user', content: 'x' },
          { role: 'system', content: 'x' },
        ],
      },
      'body.messages[1].role',
    ],
    [{ metadata: { a: 1 } }, 'body.metadata.a'],
    [{ model: '' }, 'body.model'],
    [{ constructor: 1 }, 'body.constructor'],
  ])('that asks for %j is refused by name', (body, param) => {
    expect(paramOf(() => chat(body))).toBe(param);
  });

  it.each([
    [{ background: true }, 'body.background'],
    [{ previous_response_id: 'resp_1' }, 'body.previous_response_id'],
    [{ text: { format: { type: 'json_object' } } }, 'body.text.format.type'],
    [{ text: { verbosity: 'low' } }, 'body.text.verbosity'],
    [{ input: [{ type: 'function_call', name: 'f' }] }, 'body.input[0].type'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'body.input[0].content[0].type'],
    [{ input: 7 }, 'body.input'],
  ])('for responses that asks for %j is refused by name', (body, param) => {
    expect(paramOf(() => respond(body))).toBe(param);
  });

  it('whose schema is nested without end is refused, not followed', () => {
    const schema = `${'{"items":'.repeat(5_000)}{}${'}'.repeat(5_000)}`;
    const format = `{"type":"json_schema","json_schema":{"name":"deep","schema":${schema}}}`;
    const body = `{"model":"cheap","messages":[{"role":"user","content":"hi"}],"response_format":${format}}`;
    const url = '/v1/chat/completions';
    const line = `{"custom_id":"x","method":"POST","url":"${url}","body":${body}}`;
    const options = { endpoint: url, resolveModel: () => ({ route: 'cheap' }), checkPlan: () => [] };
    expect(paramOf(() => readLine(line, options))).toBe('body.response_format.json_schema.schema');
  });
});

describe('lines of a stream', () => {
  const all = async (pieces: (string | Buffer)[], fromByte = 0, maxLineBytes = 20): Promise<unknown[]> => {
    const lines = [];
    const stream = Readable.from(pieces.map((piece) => Buffer.from(piece)));
    for await (const line of readLines(stream, { fromLine: 1, fromByte, maxLineBytes })) {
      lines.push([line.number, line.text, line.nextByte]);
    }
    return lines;
  };

  it('are cut wherever the pieces are cut, characters included', async () => {
    const text = Buffer.from('{"a":"ü"}\r\n\n  \nsecond\nthird');
    const whole = await all([text]);
    expect(whole).toEqual([
      [1, '{"a":"ü"}\r', 12],
      [2, 'second', 23],
      [3, 'third', 28],
    ]);
    const bytes = [...text].map((byte) => Buffer.from([byte]));
    expect(await all(bytes)).toEqual(whole);
  });

  it('can be read on from where a line said that the next one begins', async () => {
    const text = 'one\ntwo\nthree\n';
    const [, second] = (await all([text])) as [number, string, number][];
    expect(await all([text.slice(second![2])], second![2])).toEqual([[1, 'three', 14]]);
  });

  it('that are too long have no text and do not stop the others', async () => {
    expect(await all(['short\n', 'x'.repeat(15), 'y'.repeat(15), '\nlast'])).toEqual([
      [1, 'short', 6],
      [2, null, 37],
      [3, 'last', 41],
    ]);
  });
});
