import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSimulator, type RunningSimulator } from '../index.ts';

const ARTICLE = [
  'The harvest festival in the small town of Ambleside began on Saturday with a parade of forty tractors.',
  'Farmers had spent weeks polishing their machines, and children threw flowers from the hay wagons.',
  'The mayor, Helen Croft, opened the market at noon and thanked the volunteers who had rebuilt the bridge after the spring flood.',
  'Bridge repairs cost the council 1.2 million pounds and took eleven months.',
  'In the afternoon a storm drove most visitors into the church hall, where the brass band played until evening.',
  'Organisers said that about 6,000 people came, fewer than last year, but the flood fund collected a record sum.',
].join(' ');

let simulator: RunningSimulator;
let client: OpenAI;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new OpenAI({ apiKey: 'sk-openai-test', baseURL: `${simulator.url}/openai/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await simulator.stop();
});

function user(content: string): { role: 'user'; content: string } {
  return { role: 'user', content };
}

describe('chat completions', () => {
  it('summarises the data of a prompt with sentences of the data and never with the instruction', async () => {
    const answer = await client.chat.completions.create({
      model: 'gpt-6-luna',
      messages: [user(`Summarise this part:\n${ARTICLE}`)],
    });
    const text = answer.choices[0]!.message.content!;
    expect(text).not.toContain('Summarise');
    for (const sentence of text.split(/(?<=\.) (?=[A-Z])/)) expect(ARTICLE).toContain(sentence);
    expect(text.length).toBeLessThan(ARTICLE.length / 1.5);
    expect(answer.choices[0]!.finish_reason).toBe('stop');
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
  });

  it('streams the same text that it gives whole, with usage only when asked', async () => {
    const request = { model: 'gpt-6-luna', messages: [user(`Summarise this part:\n${ARTICLE}`)] };
    const whole = await client.chat.completions.create(request);
    let text = '';
    let usage = null;
    const finishes: (string | null)[] = [];
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      if (chunk.choices[0]?.finish_reason) finishes.push(chunk.choices[0].finish_reason);
      if (chunk.usage) usage = chunk.usage;
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(usage).toEqual(whole.usage);
    expect(finishes).toEqual(['stop']);
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
      expect(chunk.usage ?? null).toBeNull();
    }
  });

  it('chooses the label that the text is about', async () => {
    const ask = async (ticket: string): Promise<string | null> => {
      const answer = await client.chat.completions.create({
        model: 'gpt-6-luna',
        messages: [
          { role: 'system', content: 'Classify the ticket. Answer with one of: billing, technical, other.' },
          user(ticket),
        ],
      });
      return answer.choices[0]!.message.content;
    };
    expect(await ask('I was charged twice on my last invoice, please send the money back.')).toBe('billing');
    expect(await ask('The app shows an error and crashes whenever I log in.')).toBe('technical');
    expect(await ask('What a lovely morning it is.')).toBe('other');
  });

  it('stops at the output limit with the reason length', async () => {
    const answer = await client.chat.completions.create({
      model: 'gpt-6-luna',
      max_completion_tokens: 7,
      messages: [user('[[sim:tokens=200]]')],
    });
    expect(answer.choices[0]!.finish_reason).toBe('length');
    expect(answer.usage!.completion_tokens).toBe(7);
  });

  it('answers with a literal text, a number of tokens, or cached and reasoning tokens on order', async () => {
    const literal = await client.chat.completions.create({
      model: 'gpt-6-luna',
      messages: [user('[[sim:reply=forty-two]] [[sim:cached=5]] [[sim:reasoning=30]] What is it?')],
    });
    expect(literal.choices[0]!.message.content).toBe('forty-two');
    expect(literal.usage!.prompt_tokens_details!.cached_tokens).toBe(5);
    expect(literal.usage!.completion_tokens_details!.reasoning_tokens).toBe(30);
    const counted = await client.chat.completions.create({
      model: 'gpt-6-luna',
      messages: [user('[[sim:tokens=123]]')],
    });
    expect(counted.usage!.completion_tokens).toBe(123);
  });

  it('gives log probabilities that are low for an unsure answer', async () => {
    const logprobs = async (prompt: string): Promise<number[]> => {
      const answer = await client.chat.completions.create({
        model: 'gpt-6-luna',
        logprobs: true,
        top_logprobs: 3,
        messages: [user(prompt)],
      });
      const content = answer.choices[0]!.logprobs!.content!;
      expect(content[0]!.top_logprobs).toHaveLength(3);
      return content.map((token) => token.logprob);
    };
    expect(Math.min(...(await logprobs('[[sim:reply=a sure answer]]')))).toBeGreaterThan(-0.2);
    expect(Math.max(...(await logprobs('[[sim:reply=an unsure answer]] [[sim:unsure]]')))).toBeLessThan(-0.5);
  });

  it('calls a tool that must be called, with arguments that fit', async () => {
    const answer = await client.chat.completions.create({
      model: 'gpt-6-luna',
      tool_choice: { type: 'function', function: { name: 'note' } },
      tools: [
        {
          type: 'function',
          function: {
            name: 'note',
            parameters: { type: 'object', properties: { title: { type: 'string' } }, required: ['title'] },
          },
        },
      ],
      messages: [user(ARTICLE)],
    });
    const call = answer.choices[0]!.message.tool_calls![0]!;
    expect(answer.choices[0]!.finish_reason).toBe('tool_calls');
    expect(
      call.type === 'function' && typeof (JSON.parse(call.function.arguments) as { title: unknown }).title,
    ).toBe('string');
  });

  it.each([
    ['max_tokens', { max_tokens: 10 }, 'unsupported_parameter'],
    ['temperature', { temperature: 0.2 }, 'unsupported_value'],
    ['nonsense', { nonsense: 1 }, 'unknown_parameter'],
    [
      'metadata',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v'])) },
      'object_above_max_properties',
    ],
  ])('refuses %s as the vendor does', async (param, extra, code) => {
    const request = { model: 'gpt-6-luna', messages: [user('x')], ...extra };
    await expect(client.chat.completions.create(request)).rejects.toMatchObject({ status: 400, code, param });
  });

  it('refuses an unknown model, a wrong key, a missing key and a prompt above the window', async () => {
    const request = { model: 'gpt-6-luna', messages: [user('x')] };
    await expect(client.chat.completions.create({ ...request, model: 'gpt-0' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    const stranger = new OpenAI({ apiKey: 'sk-invalid-1', baseURL: `${simulator.url}/v1`, maxRetries: 0 });
    await expect(stranger.chat.completions.create(request)).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    });
    const nobody = await fetch(`${simulator.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(request),
    });
    expect(nobody.status).toBe(401);
    await expect(
      client.chat.completions.create({ model: 'gpt-5.4-nano', messages: [user('word '.repeat(410_000))] }),
    ).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it('fills a schema and refuses one that breaks the strict rules', async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['title', 'mood', 'attendance', 'facts'],
      properties: {
        title: { type: 'string' },
        mood: { type: 'string', enum: ['positive', 'negative', 'neutral'] },
        attendance: { type: 'integer', minimum: 1000 },
        facts: { type: 'array', items: { type: 'string' }, minItems: 2, maxItems: 4 },
      },
    };
    const format = { type: 'json_schema' as const, json_schema: { name: 'facts', strict: true, schema } };
    const request = { model: 'gpt-6-luna', messages: [user(`Extract the facts:\n${ARTICLE}`)] };
    const answer = await client.chat.completions.create({ ...request, response_format: format });
    const value = JSON.parse(answer.choices[0]!.message.content!) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['title', 'mood', 'attendance', 'facts']);
    expect(value['attendance']).toBe(6000);
    expect((value['facts'] as string[]).length).toBeGreaterThanOrEqual(2);
    const loose = {
      ...format,
      json_schema: { ...format.json_schema, schema: { ...schema, additionalProperties: true } },
    };
    await expect(
      client.chat.completions.create({ ...request, response_format: loose }),
    ).rejects.toMatchObject({
      status: 400,
      code: 'invalid_json_schema',
    });
  });
});
