import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { chatLine, chatLines, startBatchBench, type BatchBench } from '../testing/batch-bench.ts';

const HOUR_MS = 3_600_000;
let bench: BatchBench;

beforeAll(async () => {
  bench = await startBatchBench();
});
afterEach(async () => {
  await fetch(`${bench.simulator.url}/_simulator/faults`, { method: 'DELETE' });
});
afterAll(async () => {
  await bench.simulator.stop();
});

describe('faults of OpenAI batches', () => {
  it('fail the validation of the next batch of a model only', async () => {
    await bench.order({
      kind: 'batch_validation_failed',
      times: 1,
      code: 'invalid_request',
      line: 2,
      match: { model: 'gpt-6-luna' },
    });
    const other = await bench.createOpenai([chatLine('a', '[[sim:reply=x]]', 'gpt-5.4-nano')]);
    const failing = await bench.createOpenai(chatLines(2));
    const next = await bench.createOpenai(chatLines(2));
    await bench.simulator.advance(HOUR_MS);
    const failed = await bench.openai.batches.retrieve(failing.id);
    expect(failed).toMatchObject({
      status: 'failed',
      errors: { data: [{ code: 'invalid_request', line: 2 }] },
      output_file_id: null,
    });
    for (const { id } of [other, next])
      expect((await bench.openai.batches.retrieve(id)).status).toBe('completed');
  });

  it('hold a batch in validation, for a time or until it expires', async () => {
    await bench.order({ kind: 'batch_stuck_validating', times: 1, ms: 2 * HOUR_MS });
    const late = await bench.createOpenai(chatLines(2));
    await bench.order({ kind: 'batch_stuck_validating', times: 1 });
    const never = await bench.createOpenai(chatLines(2));
    await bench.simulator.advance(HOUR_MS);
    expect((await bench.openai.batches.retrieve(late.id)).status).toBe('validating');
    await bench.simulator.advance(2 * HOUR_MS);
    expect((await bench.openai.batches.retrieve(late.id)).status).toBe('completed');
    expect((await bench.openai.batches.retrieve(never.id)).status).toBe('validating');
    await bench.simulator.advance(22 * HOUR_MS);
    expect((await bench.openai.batches.retrieve(never.id)).status).toBe('expired');
  });

  it('hold a batch half way; a cancellation keeps what was answered and accounts for the rest', async () => {
    await bench.order({ kind: 'batch_stuck', times: 1, at: 0.3 });
    const batch = await bench.createOpenai(chatLines(10));
    await bench.simulator.advance(10 * HOUR_MS);
    expect(await bench.openai.batches.retrieve(batch.id)).toMatchObject({
      status: 'in_progress',
      request_counts: { total: 10, completed: 3, failed: 0 },
    });
    await bench.openai.batches.cancel(batch.id);
    await bench.simulator.advance(1_001);
    const cancelled = await bench.openai.batches.retrieve(batch.id);
    expect(cancelled.status).toBe('cancelled');
    expect(await bench.linesOf(cancelled.output_file_id!)).toHaveLength(3);
    const left = await bench.linesOf(cancelled.error_file_id!);
    expect(left).toHaveLength(7);
    expect(left.every((line) => line.error!.code === 'batch_cancelled')).toBe(true);
  });

  it('expire a batch at 70 % with the rest in the error file', async () => {
    await bench.order({ kind: 'batch_expires', times: 1, at: 0.7 });
    const batch = await bench.createOpenai(chatLines(10));
    await bench.simulator.advance(HOUR_MS);
    const expired = await bench.openai.batches.retrieve(batch.id);
    expect(expired).toMatchObject({
      status: 'expired',
      request_counts: { total: 10, completed: 7, failed: 3 },
    });
    const output = await bench.linesOf(expired.output_file_id!);
    const left = await bench.linesOf(expired.error_file_id!);
    expect(left.every((line) => line.error!.code === 'batch_expired' && line.response === null)).toBe(true);
    expect(new Set([...output, ...left].map((line) => line.custom_id)).size).toBe(10);
  });

  it('withhold the output file for a while after the end, named or not', async () => {
    await bench.order({ kind: 'batch_output_missing', times: 1, ms: HOUR_MS });
    const named = await bench.createOpenai(chatLines(1));
    await bench.order({ kind: 'batch_output_missing', times: 1, ms: HOUR_MS, form: 'unnamed' });
    const unnamed = await bench.createOpenai(chatLines(1));
    await bench.simulator.advance(HOUR_MS / 2);
    const completed = await bench.openai.batches.retrieve(named.id);
    expect(completed.status).toBe('completed');
    await expect(bench.openai.files.content(completed.output_file_id!)).rejects.toMatchObject({
      status: 404,
    });
    expect(await bench.openai.batches.retrieve(unnamed.id)).toMatchObject({
      status: 'completed',
      output_file_id: null,
    });
    await bench.simulator.advance(HOUR_MS);
    expect(await bench.linesOf(completed.output_file_id!)).toHaveLength(1);
    expect((await bench.openai.batches.retrieve(unnamed.id)).output_file_id).not.toBeNull();
  });

  it('answer the content of a file with 500, and cut it in the middle', async () => {
    const batch = await bench.createOpenai(chatLines(50));
    await bench.simulator.advance(HOUR_MS);
    const fileId = (await bench.openai.batches.retrieve(batch.id)).output_file_id!;
    await bench.order({ kind: 'server_error', times: 1, match: { path: '/content' } });
    await bench.order({ kind: 'truncate', times: 1, match: { path: '/content' } });
    await bench.order({ kind: 'truncate', times: 1, at: 0.5, end: 'clean', match: { path: '/content' } });
    await expect(bench.openai.files.content(fileId)).rejects.toMatchObject({ status: 500 });
    await expect((await bench.openai.files.content(fileId)).text()).rejects.toThrow('terminated');
    const half = await (await bench.openai.files.content(fileId)).text();
    const whole = await (await bench.openai.files.content(fileId)).text();
    expect(half).toBe(whole.slice(0, Math.floor(whole.length / 2)));
    const reads = () =>
      bench.simulator
        .journal()
        .flatMap((entry) => (entry.event === 'file.read' && entry.fileId === fileId ? [entry.whole] : []));
    // An answer is on its way before the journal has it.
    await expect.poll(reads).toEqual([false, false, true]);
  });

  it('fail about the share of lines that they name, as refusals and as breakdowns', async () => {
    await bench.order({ kind: 'batch_lines_fail', times: 1, lines: 0.2 });
    const batch = await bench.createOpenai(chatLines(1_000));
    await bench.simulator.advance(HOUR_MS);
    const completed = await bench.openai.batches.retrieve(batch.id);
    expect(completed.status).toBe('completed');
    const { failed } = completed.request_counts!;
    expect(failed).toBeGreaterThan(140);
    expect(failed).toBeLessThan(260);
    await expect(bench.order({ kind: 'batch_lines_fail', kinds: 'nonsense' })).rejects.toThrow('nonsense');
    const errors = await bench.linesOf(completed.error_file_id!);
    expect(errors).toHaveLength(failed);
    expect(new Set(errors.map((line) => line.response!.status_code))).toEqual(new Set([400, 429, 500, 503]));
  });

  it('reach lines only when they are for the batch lane', async () => {
    await bench.order({ kind: 'server_error', match: { lane: 'batch' } });
    const batch = await bench.createOpenai([
      chatLine('a', 'x'),
      chatLine('b', '[[sim:fault=gateway_timeout]]'),
    ]);
    const realtime = await bench.openai.chat.completions.create({
      model: 'gpt-6-luna',
      messages: [{ role: 'user', content: '[[sim:reply=fine]]' }],
    });
    expect(realtime.choices[0]!.message.content).toBe('fine');
    await bench.simulator.advance(HOUR_MS);
    const { error_file_id: fileId, output_file_id: output } = await bench.openai.batches.retrieve(batch.id);
    expect(output).toBeNull();
    const lines = await bench.linesOf(fileId!);
    expect(lines.find((line) => line.custom_id === 'a')!.response!.status_code).toBe(500);
    expect(lines.find((line) => line.custom_id === 'b')).toMatchObject({
      response: null,
      error: { code: 'request_timeout' },
    });
  });

  it('cut the connection after a batch or a file was made', async () => {
    await bench.order({ kind: 'lost_response', times: 1, match: { method: 'POST', path: '/files$' } });
    const filesBefore = (await bench.openai.files.list()).data.length;
    await expect(bench.createOpenai(chatLines(1))).rejects.toThrow('Connection error');
    expect((await bench.openai.files.list()).data).toHaveLength(filesBefore + 1);
    await bench.order({ kind: 'lost_response', times: 1, match: { method: 'POST', path: '/batches$' } });
    await expect(bench.createOpenai(chatLines(1), { intent: 'lost-1' })).rejects.toThrow('Connection error');
    const [newest] = (await bench.openai.batches.list({ limit: 1 })).data;
    expect(newest!.metadata).toEqual({ intent: 'lost-1' });
  });
});

describe('faults of Anthropic batches', () => {
  const prompts = Array.from({ length: 10 }, () => '[[sim:reply=x]]');

  it('end a batch early with the rest expired', async () => {
    await bench.order({ kind: 'batch_expires', times: 1, at: 0.7, match: { dialect: 'anthropic' } });
    const { id } = await bench.createAnthropic(prompts);
    await bench.simulator.advance(HOUR_MS);
    expect((await bench.anthropic.messages.batches.retrieve(id)).request_counts).toEqual({
      processing: 0,
      succeeded: 7,
      errored: 0,
      canceled: 0,
      expired: 3,
    });
  });

  it('hold a batch until its window is over', async () => {
    await bench.order({ kind: 'batch_stuck', times: 1 });
    const { id } = await bench.createAnthropic(prompts);
    await bench.simulator.advance(23 * HOUR_MS);
    expect((await bench.anthropic.messages.batches.retrieve(id)).processing_status).toBe('in_progress');
    await bench.simulator.advance(2 * HOUR_MS);
    expect((await bench.anthropic.messages.batches.retrieve(id)).request_counts).toMatchObject({
      succeeded: 5,
      expired: 5,
    });
  });

  it('show a validation that failed only at the end, as errors of every request', async () => {
    await bench.order({ kind: 'batch_validation_failed', times: 1 });
    const { id } = await bench.createAnthropic(prompts);
    await bench.simulator.advance(HOUR_MS);
    const results = await bench.anthropic.messages.batches.results(id);
    for await (const { result } of results)
      expect(result).toMatchObject({ type: 'errored', error: { error: { type: 'invalid_request_error' } } });
  });

  it('lose the answer of a creation, and break the results', async () => {
    await bench.order({ kind: 'lost_response', times: 1, match: { method: 'POST', path: '/batches$' } });
    await expect(bench.createAnthropic(prompts)).rejects.toThrow('Connection error');
    const [batch] = (await bench.anthropic.messages.batches.list()).data;
    await bench.simulator.advance(HOUR_MS);
    await bench.order({ kind: 'server_error', times: 1, match: { path: '/results' } });
    await bench.order({ kind: 'truncate', times: 1, match: { path: '/results' } });
    await expect(bench.anthropic.messages.batches.results(batch!.id)).rejects.toMatchObject({ status: 500 });
    const read = async (): Promise<number> => {
      let count = 0;
      for await (const result of await bench.anthropic.messages.batches.results(batch!.id))
        count += result.custom_id === '' ? 0 : 1;
      return count;
    };
    await expect(read()).rejects.toThrow();
    expect(await read()).toBe(10);
  });

  it('withhold the results for a while', async () => {
    await bench.order({ kind: 'batch_output_missing', times: 1, ms: HOUR_MS });
    const { id } = await bench.createAnthropic(prompts);
    await bench.simulator.advance(HOUR_MS / 2);
    await expect(bench.anthropic.messages.batches.results(id)).rejects.toMatchObject({ status: 404 });
    await bench.simulator.advance(HOUR_MS);
    await expect(bench.anthropic.messages.batches.results(id)).resolves.toBeDefined();
  });
});
