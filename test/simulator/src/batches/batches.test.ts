import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { joinJournal, startSimulator, type RunningSimulator } from '../index.ts';

let simulator: RunningSimulator;
let openai: OpenAI;
let anthropic: Anthropic;

beforeAll(async () => {
  simulator = await startSimulator();
  openai = new OpenAI({ apiKey: 'sk-batch', baseURL: `${simulator.url}/openai/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: 'sk-batch', baseURL: `${simulator.url}/anthropic`, maxRetries: 0 });
});
afterAll(async () => {
  await simulator.stop();
});

async function advance(durationMs: number): Promise<void> {
  await fetch(`${simulator.url}/_simulator/clock`, {
    method: 'POST',
    body: JSON.stringify({ advance_ms: durationMs }),
  });
}

function line(customId: string, prompt: string, model = 'gpt-6-luna'): string {
  const body = { model, messages: [{ role: 'user', content: prompt }] };
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body });
}

async function createBatch(lines: readonly string[]): Promise<OpenAI.Batch> {
  const file = await openai.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'in.jsonl'),
    purpose: 'batch',
  });
  return openai.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
}

async function linesOf(fileId: string): Promise<
  {
    custom_id: string;
    response: { status_code: number; body: unknown } | null;
    error: { code: string } | null;
  }[]
> {
  const text = await (await openai.files.content(fileId)).text();
  return text
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as never);
}

describe('files', () => {
  it('gives back exactly the bytes that were uploaded, line breaks and boundaries included', async () => {
    const bytes = Buffer.from(`a\r\n--not the boundary\r\n${'é'.repeat(200_000)}\r\n\r\n--`);
    const file = await openai.files.create({ file: await toFile(bytes, 'notes.txt'), purpose: 'user_data' });
    expect(file).toMatchObject({ bytes: bytes.length, filename: 'notes.txt', purpose: 'user_data' });
    expect(Buffer.from(await (await openai.files.content(file.id)).arrayBuffer()).equals(bytes)).toBe(true);
    const other = new OpenAI({ apiKey: 'sk-other', baseURL: `${simulator.url}/v1`, maxRetries: 0 });
    await expect(other.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
    await openai.files.delete(file.id);
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe('OpenAI batches', () => {
  it('go from validating to completed on the clock, with outputs out of order and errors apart, at half price', async () => {
    const prompts = Array.from({ length: 20 }, (_, index) =>
      line(`c${index}`, `[[sim:reply=answer ${index}]]`),
    );
    const batch = await createBatch([...prompts, line('bad', '[[sim:fault=server_error]] x')]);
    expect(batch.status).toBe('validating');
    await advance(1_001);
    expect((await openai.batches.retrieve(batch.id)).status).toBe('in_progress');
    await advance(300_000);
    const half = await openai.batches.retrieve(batch.id);
    expect(half.request_counts!.completed).toBeGreaterThan(5);
    expect(half.request_counts!.completed).toBeLessThan(20);
    await advance(300_000);
    expect((await openai.batches.retrieve(batch.id)).status).toBe('finalizing');
    await advance(2_000);
    const done = await openai.batches.retrieve(batch.id);
    expect(done).toMatchObject({
      status: 'completed',
      model: 'gpt-6-luna',
      request_counts: { total: 21, completed: 20, failed: 1 },
    });
    const output = await linesOf(done.output_file_id!);
    const ids = output.map((each) => each.custom_id);
    expect(ids).not.toEqual(prompts.map((_, index) => `c${index}`));
    expect([...ids].sort()).toEqual(prompts.map((_, index) => `c${index}`).sort());
    const seventh = output.find((each) => each.custom_id === 'c7')!.response!.body as OpenAI.ChatCompletion;
    expect(seventh.choices[0]!.message.content).toBe('answer 7');
    expect(await linesOf(done.error_file_id!)).toMatchObject([
      { custom_id: 'bad', response: { status_code: 500 } },
    ]);
    const bill = (await (await fetch(`${simulator.url}/_simulator/bill`)).json()) as {
      lines: { tier: string; calls: number }[];
    };
    expect(bill.lines).toContainEqual(expect.objectContaining({ tier: 'batch', calls: 20 }));
    const journalled = joinJournal(simulator.journal()).filter((call) => call.batchId === batch.id);
    expect(journalled).toHaveLength(21);
  });

  it('fail when the file breaks a rule', async () => {
    const batch = await createBatch([
      line('a', 'x'),
      line('a', 'y'),
      line('b', 'z', 'gpt-6-astra'),
      'no json',
    ]);
    await advance(1_001);
    const failed = await openai.batches.retrieve(batch.id);
    expect(failed.status).toBe('failed');
    expect(failed.errors!.data!.map((error) => [error.code, error.line])).toEqual([
      ['duplicate_custom_id', 2],
      ['mismatched_model', 3],
      ['invalid_json_line', 4],
    ]);
  });

  it('keep what was answered when they are cancelled', async () => {
    const batch = await createBatch(
      Array.from({ length: 10 }, (_, index) => line(`c${index}`, '[[sim:reply=x]]')),
    );
    await advance(1_001);
    await openai.batches.retrieve(batch.id);
    await advance(300_000);
    expect((await openai.batches.cancel(batch.id)).status).toBe('cancelling');
    await advance(1_001);
    const cancelled = await openai.batches.retrieve(batch.id);
    expect(cancelled.status).toBe('cancelled');
    expect(await linesOf(cancelled.output_file_id!)).toHaveLength(cancelled.request_counts!.completed);
  });

  it('expire with the lines that were never answered in the error file', async () => {
    const batch = await createBatch([line('ok', '[[sim:reply=x]]'), line('stuck', '[[sim:fault=hang]] x')]);
    await advance(1_001);
    await openai.batches.retrieve(batch.id);
    await advance(25 * 3_600_000);
    const expired = await openai.batches.retrieve(batch.id);
    expect(expired.status).toBe('expired');
    expect(await linesOf(expired.error_file_id!)).toMatchObject([
      { custom_id: 'stuck', response: null, error: { code: 'batch_expired' } },
    ]);
  });

  it('are listed newest first', async () => {
    const newest = await createBatch([line('a', 'x')]);
    const page = await openai.batches.list({ limit: 2 });
    expect(page.data[0]!.id).toBe(newest.id);
    expect(page.has_more).toBe(true);
  });
});

describe('Anthropic batches', () => {
  function requests(
    prompts: Readonly<Record<string, string>>,
  ): Anthropic.Messages.BatchCreateParams.Request[] {
    return Object.entries(prompts).map(([custom_id, content]) => ({
      custom_id,
      params: { model: 'claude-haiku-5-5', max_tokens: 100, messages: [{ role: 'user', content }] },
    }));
  }

  it('show no counts until they have ended, then one result per request, out of order', async () => {
    const wrong = { custom_id: 'wrong', params: { model: 'claude-haiku-5-5', messages: [] } } as never;
    const batch = await anthropic.messages.batches.create({
      requests: [
        ...requests({
          a: '[[sim:reply=A]]',
          b: '[[sim:reply=B]]',
          c: '[[sim:fault=overloaded]] x',
          d: '[[sim:reply=D]]',
        }),
        wrong,
      ],
    });
    await advance(300_000);
    const running = await anthropic.messages.batches.retrieve(batch.id);
    expect(running).toMatchObject({
      processing_status: 'in_progress',
      results_url: null,
      request_counts: { processing: 5, succeeded: 0 },
    });
    await advance(300_001);
    const ended = await anthropic.messages.batches.retrieve(batch.id);
    expect(ended).toMatchObject({
      processing_status: 'ended',
      request_counts: { processing: 0, succeeded: 3, errored: 2 },
    });
    const results = new Map<string, string>();
    for await (const result of await anthropic.messages.batches.results(batch.id))
      results.set(result.custom_id, result.result.type);
    expect([...results.keys()]).not.toEqual(['a', 'b', 'c', 'd', 'wrong']);
    expect(Object.fromEntries(results)).toEqual({
      a: 'succeeded',
      b: 'succeeded',
      c: 'errored',
      d: 'succeeded',
      wrong: 'errored',
    });
  });

  it('cancel what was not answered', async () => {
    const batch = await anthropic.messages.batches.create({ requests: requests({ a: 'x', b: 'y' }) });
    expect((await anthropic.messages.batches.cancel(batch.id)).processing_status).toBe('canceling');
    await advance(1_001);
    expect((await anthropic.messages.batches.retrieve(batch.id)).request_counts).toMatchObject({
      canceled: 2,
    });
    expect((await anthropic.messages.batches.list()).data[0]!.id).toBe(batch.id);
  });

  it('refuse a duplicate or malformed custom_id at once', async () => {
    const [request] = requests({ a: 'x' });
    await expect(anthropic.messages.batches.create({ requests: [request!, request!] })).rejects.toMatchObject(
      { status: 400 },
    );
    await expect(
      anthropic.messages.batches.create({ requests: [{ ...request!, custom_id: 'a:b' }] }),
    ).rejects.toMatchObject({ status: 400 });
  });
});
