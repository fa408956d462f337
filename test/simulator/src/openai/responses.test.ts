import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { joinJournal, startSimulator, type RunningSimulator } from '../index.ts';

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

describe('responses', () => {
  it('gives whole and streamed responses alike and keeps them', async () => {
    const request = { model: 'gpt-6.1-terra', input: `Summarise:\n${ARTICLE}`, max_output_tokens: 400 };
    const whole = await client.responses.create(request);
    const events: string[] = [];
    const numbers: number[] = [];
    const stream = client.responses.stream(request);
    for await (const event of stream) {
      events.push(event.type);
      numbers.push(event.sequence_number);
    }
    const streamed = await stream.finalResponse();
    expect(streamed.output_text).toBe(whole.output_text);
    expect(streamed.usage).toEqual(whole.usage);
    expect(events[0]).toBe('response.created');
    expect(events.at(-1)).toBe('response.completed');
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect((await client.responses.retrieve(whole.id)).output_text).toBe(whole.output_text);
  });

  it('is incomplete at the output limit', async () => {
    const answer = await client.responses.create({
      model: 'gpt-6.1-terra',
      input: '[[sim:tokens=90]]',
      max_output_tokens: 20,
    });
    expect(answer.status).toBe('incomplete');
    expect(answer.incomplete_details).toEqual({ reason: 'max_output_tokens' });
  });

  it('runs in the background until it is done', async () => {
    const queued = await client.responses.create({
      model: 'gpt-6.1-terra',
      input: `[[sim:reply=later]]`,
      background: true,
    });
    expect(queued.status).toBe('queued');
    await expect.poll(async () => (await client.responses.retrieve(queued.id)).status).toBe('completed');
    expect((await client.responses.retrieve(queued.id)).output_text).toBe('later');
  });

  it('serves flex at half the price and reports the tier', async () => {
    const cost = async (tier: 'default' | 'flex'): Promise<{ cost: number; tier: unknown }> => {
      const own = new OpenAI({
        apiKey: `sk-tier-${tier}`,
        baseURL: `${simulator.url}/openai/v1`,
        maxRetries: 0,
      });
      const answer = await own.responses.create({
        model: 'gpt-6.1-terra',
        input: '[[sim:tokens=100]]',
        service_tier: tier,
      });
      const bill = (await (await fetch(`${simulator.url}/_simulator/bill`)).json()) as {
        lines: { tier: string; costUsd: string }[];
      };
      return { cost: Number(bill.lines.at(-1)!.costUsd), tier: answer.service_tier };
    };
    const standard = await cost('default');
    const flex = await cost('flex');
    expect(flex.tier).toBe('flex');
    expect(flex.cost).toBeCloseTo(standard.cost / 2, 9);
  });
});

describe('embeddings', () => {
  it('gives unit vectors in both encodings, closer for texts that share words', async () => {
    const vectors = async (encoding?: 'float'): Promise<number[][]> => {
      const answer = await client.embeddings.create({
        model: 'text-embedding-3-small',
        input: ['the invoice was paid twice', 'who paid this invoice', 'clouds over the mountain'],
        ...(encoding === undefined ? {} : { encoding_format: encoding }),
      });
      return answer.data.map((item) => item.embedding);
    };
    const [first, second, third] = (await vectors()) as [number[], number[], number[]];
    const [plain] = (await vectors('float')) as [number[]];
    const product = (left: number[], right: number[]): number =>
      left.reduce((sum, value, index) => sum + value * right[index]!, 0);
    expect(first).toHaveLength(1_536);
    expect(product(first, first)).toBeCloseTo(1, 4);
    expect(product(first, plain)).toBeCloseTo(1, 4);
    expect(product(first, second)).toBeGreaterThan(product(first, third) + 0.2);
  });
});

describe('models', () => {
  it('lists what it serves', async () => {
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toContain('gpt-6-luna');
    expect((await client.models.retrieve('gpt-6-luna')).object).toBe('model');
  });
});

describe('the journal', () => {
  it('names the step of each request and hides the key', async () => {
    await client.chat.completions.create(
      { model: 'gpt-6-luna', messages: [user('hello there')] },
      { headers: { 'X-Client-Request-Id': 'step_1' } },
    );
    await client.chat.completions.create({
      model: 'gpt-6-luna',
      messages: [user('hello there')],
      metadata: { millrace_step: 'step_2' },
    });
    const calls = joinJournal(simulator.journal());
    const ids = calls.map((call) => call.stepId);
    expect(ids).toContain('step_1');
    expect(ids).toContain('step_2');
    expect(calls.find((call) => call.stepId === 'step_1')!.end).toMatchObject({
      finished: true,
      status: 200,
    });
    expect(JSON.stringify(calls)).not.toContain('sk-openai-test');
  });
});
