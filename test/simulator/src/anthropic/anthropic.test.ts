import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSimulator, type RunningSimulator } from '../index.ts';

let simulator: RunningSimulator;
let client: Anthropic;

beforeAll(async () => {
  simulator = await startSimulator();
  client = new Anthropic({ apiKey: 'sk-ant-test', baseURL: `${simulator.url}/anthropic`, maxRetries: 0 });
});
afterAll(async () => {
  await simulator.stop();
});

const NOTES =
  'Combine these notes:\n- The parade began with forty tractors.\n- The mayor opened the market at noon.\n- A storm drove visitors into the church hall.';

function request(content: string, model = 'claude-haiku-5-5'): Anthropic.MessageCreateParamsNonStreaming {
  return { model, max_tokens: 500, messages: [{ role: 'user', content }] };
}

function textOf(message: Anthropic.Message): string {
  return message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

describe('messages', () => {
  it('merges notes into a paragraph, whole and streamed alike', async () => {
    const whole = await client.messages.create(request(NOTES));
    const streamed = await client.messages.stream(request(NOTES)).finalMessage();
    expect(textOf(whole)).toBe(
      'The parade began with forty tractors. The mayor opened the market at noon. A storm drove visitors into the church hall.',
    );
    expect(textOf(streamed)).toBe(textOf(whole));
    expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
    expect(streamed.usage.input_tokens).toBe(whole.usage.input_tokens);
    expect(streamed.stop_reason).toBe('end_turn');
  });

  it('counts tokens as it bills them', async () => {
    const { max_tokens: _, ...countable } = request(NOTES);
    const counted = await client.messages.countTokens(countable);
    const message = await client.messages.create(request(NOTES));
    expect(counted.input_tokens).toBe(message.usage.input_tokens);
  });

  it('fills a schema of structured output', async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['summary', 'urgent'],
      properties: { summary: { type: 'string' }, urgent: { type: 'boolean' } },
    };
    const message = await client.messages.create({
      ...request(NOTES),
      output_config: { format: { type: 'json_schema', schema } },
    });
    expect(Object.keys(JSON.parse(textOf(message)) as object)).toEqual(['summary', 'urgent']);
  });

  it('stops at max_tokens and at a stop sequence', async () => {
    const cut = await client.messages.create({ ...request('[[sim:tokens=100]]'), max_tokens: 9 });
    expect(cut.stop_reason).toBe('max_tokens');
    expect(cut.usage.output_tokens).toBe(9);
    const stopped = await client.messages.create({
      ...request('[[sim:reply=one STOP two]]'),
      stop_sequences: ['STOP'],
    });
    expect(stopped.stop_reason).toBe('stop_sequence');
    expect(textOf(stopped)).toBe('one ');
  });

  it('bills what was read from a cache apart from the rest of the input', async () => {
    const message = await client.messages.create(request(`[[sim:cached=10]] ${NOTES}`));
    const plain = await client.messages.create(request(`[[sim:cached=0]] ${NOTES}`));
    expect(message.usage.cache_read_input_tokens).toBe(10);
    expect(message.usage.input_tokens).toBeLessThan(plain.usage.input_tokens);
  });

  it('uses a tool when told to by a model that allows it', async () => {
    const tools = [
      {
        name: 'note',
        input_schema: {
          type: 'object' as const,
          properties: { title: { type: 'string' } },
          required: ['title'],
        },
      },
    ];
    const forced = { tools, tool_choice: { type: 'tool' as const, name: 'note' } };
    const message = await client.messages.create({ ...request(NOTES), ...forced });
    expect(message.stop_reason).toBe('tool_use');
    expect(message.content[0]).toMatchObject({ type: 'tool_use', name: 'note' });
    const streamed = await client.messages.stream({ ...request(NOTES), ...forced }).finalMessage();
    expect(streamed.content[0]).toMatchObject({
      type: 'tool_use',
      name: 'note',
      input: (message.content[0] as Anthropic.ToolUseBlock).input,
    });
    await expect(
      client.messages.create({ ...request(NOTES, 'claude-sonnet-5-5'), ...forced }),
    ).rejects.toMatchObject({ status: 400 });
  });

  it.each(['temperature', 'top_p', 'top_k'])('refuses %s even at its default', async (name) => {
    await expect(client.messages.create({ ...request('x'), [name]: 1 })).rejects.toMatchObject({
      status: 400,
      type: 'invalid_request_error',
    });
    const old = { headers: { 'anthropic-version': '2023-06-01' } };
    await expect(client.messages.create({ ...request('x'), [name]: 1 }, old)).resolves.toMatchObject({
      type: 'message',
    });
  });

  it('refuses a missing or too large max_tokens, an unknown model, a prefill and a wrong key', async () => {
    const { max_tokens: _, ...missing } = request('x');
    await expect(
      client.messages.create(missing as Anthropic.MessageCreateParamsNonStreaming),
    ).rejects.toMatchObject({ status: 400 });
    await expect(
      client.messages.create({ ...request('x'), max_tokens: 999_999 }, { timeout: 5_000 }),
    ).rejects.toMatchObject({ status: 400 });
    await expect(client.messages.create(request('x', 'claude-0'))).rejects.toMatchObject({
      status: 404,
      type: 'not_found_error',
    });
    const prefill = {
      ...request('x', 'claude-opus-5-5'),
      messages: [
        { role: 'user' as const, content: 'x' },
        { role: 'assistant' as const, content: '{' },
      ],
    };
    await expect(client.messages.create(prefill)).rejects.toMatchObject({ status: 400 });
    const stranger = new Anthropic({
      apiKey: 'sk-invalid',
      baseURL: `${simulator.url}/anthropic`,
      maxRetries: 0,
    });
    await expect(stranger.messages.create(request('x'))).rejects.toMatchObject({
      status: 401,
      type: 'authentication_error',
    });
  });

  it('answers at the root too, and lists its models', async () => {
    const atRoot = new Anthropic({ apiKey: 'sk-ant-test', baseURL: simulator.url, maxRetries: 0 });
    expect(textOf(await atRoot.messages.create(request('[[sim:reply=root]]')))).toBe('root');
    const ids: string[] = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids).toContain('claude-haiku-5-5');
  });
});
