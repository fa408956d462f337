import { afterEach, describe, expect, it } from 'vitest';
import {
  chatLine,
  chatLines,
  HAIKU,
  LUNA,
  startBatchBench,
  type BatchBench,
} from '../testing/batch-bench.ts';

const HOUR_MS = 3_600_000;
let bench: BatchBench;

afterEach(async () => {
  await bench.simulator.stop();
});

describe('limits of OpenAI batches', () => {
  it('fail a batch whose prompt tokens and those of running batches of its model are too many', async () => {
    bench = await startBatchBench({ batches: { modelEnqueuedTokens: { [LUNA]: 1_000 } } });
    const words = 'word '.repeat(300);
    const first = await bench.createOpenai([chatLine('a', words), chatLine('b', words)]);
    await bench.simulator.advance(1_001);
    const second = await bench.createOpenai([chatLine('c', words), chatLine('d', words)]);
    const other = await bench.createOpenai([chatLine('e', words, 'gpt-5.4-nano')]);
    await bench.simulator.advance(1_001);
    expect((await bench.openai.batches.retrieve(first.id)).status).toBe('in_progress');
    expect((await bench.openai.batches.retrieve(other.id)).status).toBe('in_progress');
    expect(await bench.openai.batches.retrieve(second.id)).toMatchObject({
      status: 'failed',
      errors: { data: [{ code: 'token_limit_exceeded', line: null }] },
    });
    await bench.simulator.advance(HOUR_MS);
    const third = await bench.createOpenai([chatLine('c', words), chatLine('d', words)]);
    await bench.simulator.advance(1_001);
    expect((await bench.openai.batches.retrieve(third.id)).status).toBe('in_progress');
  });

  it('refuse more batches in an hour than are allowed, until the hour is over', async () => {
    bench = await startBatchBench({ batches: { createdPerHour: 2 } });
    await bench.createOpenai(chatLines(1));
    await bench.createOpenai(chatLines(1));
    await expect(bench.createOpenai(chatLines(1))).rejects.toMatchObject({
      status: 429,
      code: 'rate_limit_exceeded',
    });
    await bench.simulator.advance(HOUR_MS);
    expect((await bench.createOpenai(chatLines(1))).status).toBe('validating');
  });

  it('fail a file with more requests than are allowed, or with a model that nobody knows', async () => {
    bench = await startBatchBench({ batches: { maxRequests: { openai: 3 } } });
    const long = await bench.createOpenai(chatLines(4));
    const unknown = await bench.createOpenai([chatLine('a', 'x', 'gpt-99')]);
    await bench.simulator.advance(1_001);
    const codeOf = async (id: string): Promise<string> =>
      (await bench.openai.batches.retrieve(id)).errors!.data![0]!.code!;
    expect(await codeOf(long.id)).toBe('too_many_tasks');
    expect(await codeOf(unknown.id)).toBe('model_not_found');
  });

  it('page the list of batches and keep their metadata in it', async () => {
    bench = await startBatchBench();
    for (let index = 0; index < 5; index += 1)
      await bench.createOpenai(chatLines(1), { intent: `i${index}` });
    const seen: unknown[] = [];
    for await (const batch of bench.openai.batches.list({ limit: 2 })) seen.push(batch.metadata!['intent']);
    expect(seen).toEqual(['i4', 'i3', 'i2', 'i1', 'i0']);
  });

  it('let output files live as long as was asked', async () => {
    bench = await startBatchBench();
    const { input_file_id } = await bench.createOpenai(chatLines(1));
    const batch = await bench.openai.batches.create({
      input_file_id: input_file_id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      output_expires_after: { anchor: 'created_at', seconds: 7_200 },
    });
    await bench.simulator.advance(HOUR_MS);
    const fileId = (await bench.openai.batches.retrieve(batch.id)).output_file_id!;
    expect(await bench.linesOf(fileId)).toHaveLength(1);
    await bench.simulator.advance(2 * HOUR_MS);
    await expect(bench.openai.files.content(fileId)).rejects.toMatchObject({ status: 404 });
  });
});

describe('limits of Anthropic batches', () => {
  const prompts = ['[[sim:reply=a]]', '[[sim:reply=b]]'];

  it('refuse requests above the queue until it is shorter', async () => {
    bench = await startBatchBench({ batches: { queuedRequests: 3 } });
    await bench.createAnthropic(prompts);
    await expect(bench.createAnthropic(prompts)).rejects.toMatchObject({ status: 429 });
    await bench.simulator.advance(HOUR_MS);
    expect((await bench.createAnthropic(prompts)).processing_status).toBe('in_progress');
  });

  it('take the results away 29 days after the creation', async () => {
    bench = await startBatchBench();
    const { id } = await bench.createAnthropic(prompts);
    await bench.simulator.advance(28 * 24 * HOUR_MS);
    expect((await bench.anthropic.messages.batches.retrieve(id)).archived_at).toBeNull();
    await expect(bench.anthropic.messages.batches.results(id)).resolves.toBeDefined();
    await bench.simulator.advance(24 * HOUR_MS);
    const archived = await bench.anthropic.messages.batches.retrieve(id);
    expect(archived).toMatchObject({ processing_status: 'ended', results_url: null });
    expect(archived.archived_at).not.toBeNull();
    const answer = await fetch(`${bench.simulator.url}/anthropic/v1/messages/batches/${id}/results`, {
      headers: { authorization: 'Bearer sk-batch', 'anthropic-version': '2026-10-21' },
    });
    expect(answer.status).toBe(404);
  });

  it('take no metadata and no body that is not JSON', async () => {
    bench = await startBatchBench();
    const send = async (body: string): Promise<Response> =>
      fetch(`${bench.simulator.url}/anthropic/v1/messages/batches`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk-batch', 'anthropic-version': '2026-10-21' },
        body,
      });
    const request = { custom_id: 'a', params: { model: HAIKU, max_tokens: 5, messages: [] } };
    for (const body of ['{}', '{"requests":[]}', '{"requests":[{]}', '{"requests":[1]}', '[]', 'x'])
      expect((await send(body)).status, body).toBe(400);
    const withMetadata = await send(JSON.stringify({ metadata: { a: 'b' }, requests: [request] }));
    expect(await withMetadata.json()).toMatchObject({
      error: { message: 'metadata: Extra inputs are not permitted' },
    });
    expect((await send(JSON.stringify({ requests: [request] }, null, 2))).status).toBe(200);
  });

  it('page the list in both directions', async () => {
    bench = await startBatchBench();
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) ids.unshift((await bench.createAnthropic(prompts)).id);
    const listed: string[] = [];
    for await (const batch of bench.anthropic.messages.batches.list({ limit: 2 })) listed.push(batch.id);
    expect(listed).toEqual(ids);
    const back = await bench.anthropic.messages.batches.list({ before_id: ids[4]!, limit: 2 });
    expect(back.data.map((batch) => batch.id)).toEqual([ids[2], ids[3]]);
    expect(back.has_more).toBe(true);
  });
});
