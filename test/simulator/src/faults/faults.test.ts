import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { joinJournal, startSimulator, type JournalledCall, type RunningSimulator } from '../index.ts';

let simulator: RunningSimulator;
let openai: OpenAI;
let anthropic: Anthropic;

beforeEach(async () => {
  simulator = await startSimulator();
  openai = new OpenAI({
    apiKey: 'sk-faults',
    baseURL: `${simulator.url}/openai/v1`,
    maxRetries: 0,
    logLevel: 'off',
  });
  anthropic = new Anthropic({
    apiKey: 'sk-faults',
    baseURL: `${simulator.url}/anthropic`,
    maxRetries: 0,
    logLevel: 'off',
  });
});
afterEach(async () => {
  await simulator.stop();
});

async function chat(prompt: string): Promise<OpenAI.ChatCompletion> {
  return openai.chat.completions.create({
    model: 'gpt-6-luna',
    messages: [{ role: 'user', content: prompt }],
  });
}

async function message(prompt: string): Promise<Anthropic.Message> {
  return anthropic.messages.create({
    model: 'claude-haiku-5-5',
    max_tokens: 200,
    messages: [{ role: 'user', content: prompt }],
  });
}

async function streamChat(prompt: string): Promise<{ text: string; finish: string | null }> {
  const stream = await openai.chat.completions.create({
    model: 'gpt-6-luna',
    stream: true,
    messages: [{ role: 'user', content: prompt }],
  });
  let text = '';
  let finish: string | null = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
  }
  return { text, finish };
}

async function streamMessage(prompt: string): Promise<string[]> {
  const events: string[] = [];
  const stream = await anthropic.messages.create({
    model: 'claude-haiku-5-5',
    max_tokens: 200,
    stream: true,
    messages: [{ role: 'user', content: prompt }],
  });
  for await (const event of stream) events.push(event.type);
  return events;
}

async function lastCall(): Promise<JournalledCall> {
  await expect.poll(() => joinJournal(simulator.journal()).at(-1)?.end ?? null).not.toBeNull();
  return joinJournal(simulator.journal()).at(-1)!;
}

describe('markers', () => {
  it('fail as often as they say for each step and then let it through', async () => {
    const ask = (step: string): Promise<OpenAI.ChatCompletion> =>
      openai.chat.completions.create(
        {
          model: 'gpt-6-luna',
          messages: [{ role: 'user', content: '[[sim:fault=server_error;times=2]][[sim:reply=fine]]' }],
        },
        { headers: { 'x-client-request-id': step } },
      );
    for (const step of ['step_a', 'step_b']) {
      await expect(ask(step)).rejects.toMatchObject({ status: 500 });
      await expect(ask(step)).rejects.toMatchObject({ status: 500 });
      expect((await ask(step)).choices[0]!.message.content).toBe('fine');
    }
  });

  it('count by the body when the client names no step, and apply one after the other', async () => {
    const prompt = '[[sim:fault=rate_limit;times=1]][[sim:fault=unavailable;times=1]][[sim:reply=fine]]';
    await expect(chat(prompt)).rejects.toMatchObject({ status: 429 });
    await expect(chat(prompt)).rejects.toMatchObject({ status: 503 });
    expect((await chat(prompt)).choices[0]!.message.content).toBe('fine');
  });

  it('may concern one model only, so that another target works', async () => {
    const prompt = '[[sim:fault=server_error;model=gpt-6-luna]][[sim:reply=fine]]';
    await expect(chat(prompt)).rejects.toMatchObject({ status: 500 });
    expect((await message(prompt)).content[0]).toMatchObject({ text: 'fine' });
  });

  it('never come back in an answer', async () => {
    const answer = await chat(
      'Summarise this:\nThe mill stood [[sim:latency=1]] by the river for two hundred years and ground all the corn of the valley.',
    );
    expect(answer.choices[0]!.message.content).toContain('The mill stood by the river');
    expect(answer.choices[0]!.message.content).not.toContain('sim:');
  });
});

describe('faults of the wire', () => {
  it('hang accepts and never answers', async () => {
    await expect(
      openai.chat.completions.create(
        { model: 'gpt-6-luna', messages: [{ role: 'user', content: '[[sim:fault=hang]]' }] },
        { timeout: 150 },
      ),
    ).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    expect((await lastCall()).end).toMatchObject({
      aborted: true,
      status: null,
      fault: 'hang',
      finished: false,
    });
  });

  it('reset drops the connection before any byte', async () => {
    await expect(chat('[[sim:fault=reset]]')).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    expect((await lastCall()).end).toMatchObject({
      status: null,
      fault: 'reset',
      bytesSent: 0,
      finished: false,
    });
  });

  it('truncate cuts a stream, with a broken connection or a clean end but no terminal event', async () => {
    await expect(streamChat('[[sim:tokens=40]] [[sim:fault=truncate]]')).rejects.toThrow();
    const clean = await streamChat('[[sim:tokens=40]] [[sim:fault=truncate;end=clean]]');
    expect(clean.finish).toBeNull();
    expect(clean.text).not.toBe('');
    expect((await lastCall()).end).toMatchObject({
      fault: 'truncate',
      status: 200,
      finished: false,
      outputTokens: 20,
    });
    const events = await streamMessage('[[sim:tokens=40]] [[sim:fault=truncate;end=clean;after=3]]');
    expect(events.filter((type) => type === 'content_block_delta')).toHaveLength(3);
    expect(events).not.toContain('message_stop');
  });

  it('truncate breaks a whole body too', async () => {
    await expect(chat('[[sim:tokens=40]] [[sim:fault=truncate]]')).rejects.toThrow();
    await expect(chat('[[sim:tokens=40]] [[sim:fault=truncate;end=clean]]')).rejects.toThrow();
  });

  it('stream_error is an error event inside a 200', async () => {
    await expect(streamChat('[[sim:tokens=40]] [[sim:fault=stream_error]]')).rejects.toMatchObject({
      code: 'server_error',
    });
    await expect(streamMessage('[[sim:tokens=40]] [[sim:fault=stream_error]]')).rejects.toMatchObject({
      type: 'overloaded_error',
    });
    const input = '[[sim:tokens=40]] [[sim:fault=stream_error]]';
    await expect(openai.responses.stream({ model: 'gpt-6-luna', input }).finalResponse()).rejects.toThrow();
    const failed: string[] = [];
    const stream = await openai.responses.create({
      model: 'gpt-6-luna',
      input: input.replace('error]]', 'error;form=failed]]'),
      stream: true,
    });
    for await (const event of stream) failed.push(event.type);
    expect(failed.at(-1)).toBe('response.failed');
  });

  it('garbage is no JSON', async () => {
    await expect(chat('[[sim:fault=garbage]]')).rejects.toThrow();
    await expect(streamChat('[[sim:tokens=10]] [[sim:fault=garbage]]')).rejects.toThrow();
    await expect(streamMessage('[[sim:tokens=10]] [[sim:fault=garbage]]')).rejects.toThrow();
  });

  it('slow_first_byte delays the answer', async () => {
    const startedAtMs = performance.now();
    await chat('[[sim:fault=slow_first_byte;ms=120]]');
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(115);
  });
});

describe('faults of the answer', () => {
  it('wrong_usage and missing_usage tell something else than what is billed', async () => {
    const right = await chat('[[sim:tokens=20]] [[sim:fault=none]]');
    const wrong = await chat('[[sim:tokens=20]] [[sim:fault=wrong_usage]]');
    expect(wrong.usage!.completion_tokens).not.toBe(right.usage!.completion_tokens);
    expect((await lastCall()).end!.outputTokens).toBe(20);
    expect((await chat('[[sim:fault=missing_usage]]')).usage).toBeUndefined();
    expect((await message('[[sim:fault=missing_usage]]')).usage).toBeUndefined();
  });

  it('empty_output says nothing', async () => {
    expect((await chat('[[sim:fault=empty_output]]')).choices[0]!.message.content).toBe('');
    expect((await message('[[sim:fault=empty_output]]')).content).toEqual([]);
    expect(await streamMessage('[[sim:fault=empty_output]]')).toEqual([
      'message_start',
      'message_delta',
      'message_stop',
    ]);
  });

  it('invalid_json is the same wrong answer each time, invalid_json_once only until it is shown', async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['title'],
      properties: { title: { type: 'string' } },
    };
    const response_format = {
      type: 'json_schema' as const,
      json_schema: { name: 'x', strict: true, schema },
    };
    const ask = async (kind: string, ...later: OpenAI.ChatCompletionMessageParam[]): Promise<object> => {
      const messages: OpenAI.ChatCompletionMessageParam[] = [
        { role: 'user', content: `[[sim:fault=${kind}]] Give a title:\nThe river rose.` },
        ...later,
      ];
      const answer = await openai.chat.completions.create({ model: 'gpt-6-luna', messages, response_format });
      return JSON.parse(answer.choices[0]!.message.content!) as object;
    };
    const feedback = { role: 'user' as const, content: 'Your previous answer did not match the schema.' };
    expect(await ask('invalid_json')).not.toHaveProperty('title');
    expect(await ask('invalid_json', feedback)).toEqual(await ask('invalid_json'));
    expect(await ask('invalid_json_once')).not.toHaveProperty('title');
    expect(await ask('invalid_json_once', feedback)).toHaveProperty('title');
  });

  it('refusal and max_tokens end the answer as the vendors do', async () => {
    const refused = await chat('[[sim:fault=refusal]]');
    expect(refused.choices[0]!.message.refusal).toContain('sorry');
    expect(refused.choices[0]!.message.content).toBeNull();
    expect(await message('[[sim:fault=refusal]]')).toMatchObject({
      stop_reason: 'refusal',
      stop_details: { type: 'refusal' },
    });
    const response = await openai.responses.create({ model: 'gpt-6-luna', input: '[[sim:fault=refusal]]' });
    expect(response.output[0]).toMatchObject({ content: [{ type: 'refusal' }] });
    expect((await chat('[[sim:tokens=20]] [[sim:fault=max_tokens]]')).choices[0]!.finish_reason).toBe(
      'length',
    );
    expect((await message('[[sim:tokens=20]] [[sim:fault=max_tokens]]')).stop_reason).toBe('max_tokens');
  });
});

describe('faults for everybody', () => {
  async function order(rule: object): Promise<Response> {
    return fetch(`${simulator.url}/_simulator/faults`, { method: 'POST', body: JSON.stringify(rule) });
  }

  it('hit what they match, as often as they say, until they are taken away', async () => {
    await order({ kind: 'server_error', times: 1, match: { dialect: 'openai' } });
    expect((await message('[[sim:reply=fine]]')).content[0]).toMatchObject({ text: 'fine' });
    await expect(chat('x')).rejects.toMatchObject({ status: 500 });
    await chat('x');
    await order({ kind: 'overloaded', match: { prompt: 'poison' } });
    await expect(chat('a poison pill')).rejects.toMatchObject({ status: 503 });
    await fetch(`${simulator.url}/_simulator/faults`, { method: 'DELETE' });
    await chat('a poison pill');
  });

  it('hit about the share that they name', async () => {
    await order({ kind: 'server_error', share: 0.3 });
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => chat(`number ${index}`)),
    );
    const failed = results.filter((result) => result.status === 'rejected').length;
    expect(failed).toBeGreaterThan(35);
    expect(failed).toBeLessThan(90);
  });

  it('concern files and batches too', async () => {
    await order({ kind: 'unavailable', match: { path: '/batches' } });
    await expect(openai.batches.list()).rejects.toMatchObject({ status: 503 });
    await expect(openai.files.list()).resolves.toBeDefined();
  });

  it('are refused with a reason when they make no sense', async () => {
    const answer = await order({ kind: 'earthquake' });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toEqual({ error: 'unknown fault kind "earthquake"' });
  });

  it('may stand in the configuration', async () => {
    const broken = await startSimulator({ config: { faults: [{ kind: 'server_error' }] } });
    const client = new OpenAI({ apiKey: 'sk-x', baseURL: `${broken.url}/v1`, maxRetries: 0 });
    await expect(
      client.embeddings.create({ model: 'text-embedding-3-small', input: 'x' }),
    ).rejects.toMatchObject({ status: 500 });
    await broken.stop();
  });
});
