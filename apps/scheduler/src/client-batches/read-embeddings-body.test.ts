import { describe, expect, it } from 'vitest';
import { LineProblem } from './line-problem.ts';
import { readLine } from './read-line.ts';
import { toResultLine } from './result-line.ts';

const read = (body: object) =>
  readLine(
    JSON.stringify({
      custom_id: 'x',
      method: 'POST',
      url: '/v1/embeddings',
      body: { model: 'text-embedding-3-small', ...body },
    }),
    {
      endpoint: '/v1/embeddings',
      resolveModel: (name) => ({ model: `openai/${name}` }),
      checkPlan: () => [],
    },
  );

describe('an embeddings line', () => {
  it('becomes an embed node; a text that looks like a template goes in as data', () => {
    expect(read({ input: ['grain', '{{ flour }}'], dimensions: 8, encoding_format: 'base64' })).toEqual({
      customId: 'x',
      model: 'text-embedding-3-small',
      plan: {
        type: 'embed',
        model: 'openai/text-embedding-3-small',
        text: ['grain', '{{ input.texts[0] }}'],
        dimensions: 8,
        encoding_format: 'base64',
      },
      input: { texts: ['{{ flour }}'] },
      params: { encoding_format: 'base64' },
      metadata: {},
    });
    // Kept in base64 whatever is asked for, and written as it was asked for.
    expect(read({ input: 'grain' })).toMatchObject({
      plan: { text: ['grain'], encoding_format: 'base64' },
      params: { encoding_format: 'float' },
    });
  });

  it('may say who asks, which changes nothing of a vector', () => {
    const idle = { user: 'somebody', safety_identifier: 's' };
    expect(read({ input: 'grain', ...idle })).toEqual(read({ input: 'grain' }));
  });

  it.each([
    [{}, 'missing_required_parameter', 'body.input'],
    [{ input: [] }, 'invalid_value', 'body.input'],
    [{ input: ['a', ''] }, 'invalid_value', 'body.input[1]'],
    [{ input: ['a', {}] }, 'invalid_value', 'body.input[1]'],
    [{ input: [1, 2] }, 'unsupported_parameter', 'body.input'],
    [{ input: [[1], [2]] }, 'unsupported_parameter', 'body.input'],
    [{ input: 'a', dimensions: 0 }, 'invalid_value', 'body.dimensions'],
    [{ input: 'a', dimensions: 8_193 }, 'invalid_value', 'body.dimensions'],
    [{ input: 'a', encoding_format: 'int8' }, 'invalid_value', 'body.encoding_format'],
    [{ input: 'a', truncate: true }, 'unsupported_parameter', 'body.truncate'],
  ])('is refused for %j', (body, code, param) => {
    let problem: unknown = null;
    try {
      read(body);
    } catch (error) {
      problem = error;
    }
    expect(problem).toBeInstanceOf(LineProblem);
    expect(problem).toMatchObject({ code, param });
  });
});

it.each([
  ['float', [1, 2]],
  ['base64', 'AACAPwAAAEA='],
])('an answered embeddings line has the body that OpenAI writes, as %s', (encodingFormat, embedding) => {
  const line = {
    line: 1,
    customId: 'x',
    jobId: 'job_1',
    status: 'completed',
    output: ['AACAPwAAAEA='],
    error: null,
    finishedAt: 1_000,
    erased: false,
    target: 'openai/text-embedding-3-small',
    truncated: false,
    inputTokens: 5,
    cachedInputTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    encodingFormat,
  } as const;
  const text = [...toResultLine({ ...line, output: [...line.output] as never }, '/v1/embeddings')].join('');
  expect(text).toMatch(/^[^\n]+\n$/);
  expect((JSON.parse(text) as { response: { body: unknown } }).response.body).toEqual({
    object: 'list',
    data: [{ object: 'embedding', index: 0, embedding }],
    model: 'text-embedding-3-small',
    usage: { prompt_tokens: 5, total_tokens: 5 },
  });
});
