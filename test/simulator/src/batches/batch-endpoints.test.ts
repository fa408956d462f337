import { toFile, type OpenAI } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LUNA, startBatchBench, type BatchBench } from '../testing/batch-bench.ts';

const HOUR_MS = 3_600_000;
let bench: BatchBench;

beforeAll(async () => {
  bench = await startBatchBench();
});
afterAll(async () => {
  await bench.simulator.stop();
});

async function upload(lines: readonly object[], name = 'in.jsonl'): Promise<OpenAI.FileObject> {
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  return bench.openai.files.create({
    file: await toFile(Buffer.from(text), name),
    purpose: 'batch',
    expires_after: { anchor: 'created_at', seconds: 7_200 },
  });
}

async function answerOf(url: '/v1/responses' | '/v1/embeddings', body: object): Promise<unknown> {
  const file = await upload([{ custom_id: 'a', method: 'POST', url, body }]);
  const batch = await bench.openai.batches.create({
    input_file_id: file.id,
    endpoint: url,
    completion_window: '24h',
  });
  await bench.simulator.advance(HOUR_MS);
  const { output_file_id: fileId } = await bench.openai.batches.retrieve(batch.id);
  const [line] = await bench.linesOf(fileId!);
  return line!.response!.body;
}

describe('OpenAI batches of other endpoints', () => {
  it('answer responses and embeddings as in realtime', async () => {
    const response = (await answerOf('/v1/responses', { model: LUNA, input: '[[sim:reply=hello]]' })) as {
      status: string;
      output: { content: { text: string }[] }[];
    };
    expect(response.status).toBe('completed');
    expect(response.output.at(-1)!.content[0]!.text).toBe('hello');
    const model = 'text-embedding-3-small';
    const realtime = await bench.openai.embeddings.create({
      model,
      input: 'some words',
      encoding_format: 'float',
    });
    const embedded = (await answerOf('/v1/embeddings', {
      model,
      input: 'some words',
    })) as OpenAI.CreateEmbeddingResponse;
    expect(embedded.data[0]!.embedding).toEqual(realtime.data[0]!.embedding);
    expect(embedded.usage.prompt_tokens).toBe(2);
  });
});

describe('input files', () => {
  it('are gone after the time they were given, and a batch of such a file fails', async () => {
    const body = { model: LUNA, input: 'x' };
    const file = await upload([{ custom_id: 'a', method: 'POST', url: '/v1/responses', body }]);
    expect(file.expires_at! - file.created_at).toBe(7_200);
    const batch = await bench.openai.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/responses',
      completion_window: '24h',
    });
    await bench.openai.files.delete(file.id);
    await bench.simulator.advance(1_001);
    expect(await bench.openai.batches.retrieve(batch.id)).toMatchObject({
      status: 'failed',
      errors: { data: [{ code: 'invalid_file' }] },
    });
    const short = await upload([{ custom_id: 'a' }]);
    await bench.simulator.advance(2 * HOUR_MS);
    await expect(bench.openai.files.retrieve(short.id)).rejects.toMatchObject({ status: 404 });
  });

  it('must be JSONL', async () => {
    await expect(upload([{ custom_id: 'a' }], 'in.txt')).rejects.toMatchObject({ status: 400 });
  });
});
