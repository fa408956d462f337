import { OpenAI, toFile } from 'openai';
import type { Batch } from 'openai/resources/batches';
import type { CreateEmbeddingResponse } from 'openai/resources/embeddings';
import { joinBatches, readJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

const MODEL = 'text-embedding-3-small';

let stack: TestStack;
let millrace: OpenAI;
let simulator: OpenAI;
beforeAll(async () => {
  stack = await startTestStack({
    environment: {
      SIMULATOR_CONFIG: JSON.stringify({
        batches: { validateMs: 100, runMs: 700, finalizeMs: 50, tickMs: 50 },
      }),
      // Long enough for the lines of a file to meet in one batch, although they are placed one after the other.
      MILLRACE_BATCH_COLLECT_AGE: '5s',
      MILLRACE_BATCH_POLL_INTERVAL: '1s',
    },
  });
  millrace = new OpenAI({ baseURL: `${stack.apiUrl}/v1`, apiKey: stack.bootstrapKey });
  simulator = new OpenAI({ baseURL: `${stack.simulatorUrl}/openai/v1`, apiKey: 'sk-any' });
}, 120_000);
afterAll(() => stack.end());

interface ResultLine {
  custom_id: string;
  response: { status_code: number; body: CreateEmbeddingResponse } | null;
}

const line = (customId: string, input: unknown, body: object = {}) => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/embeddings',
  body: { model: MODEL, input, ...body },
});

/** The same script for both servers. */
async function runBatch(client: OpenAI, lines: readonly object[]): Promise<Batch> {
  const input = await client.files.create({
    file: await toFile(Buffer.from(lines.map((each) => JSON.stringify(each)).join('\n')), 'input.jsonl'),
    purpose: 'batch',
  });
  const { id } = await client.batches.create({
    input_file_id: input.id,
    endpoint: '/v1/embeddings',
    completion_window: '24h',
  });
  let batch = await client.batches.retrieve(id);
  await waitFor(
    async () => {
      batch = await client.batches.retrieve(id);
      return ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
    },
    { timeoutMs: 60_000, intervalMs: 200, what: () => `the batch to end; it is ${JSON.stringify(batch)}` },
  );
  return batch;
}

async function linesOf(client: OpenAI, fileId: string | null | undefined): Promise<ResultLine[]> {
  const text = await (await client.files.content(fileId!)).text();
  return text
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as ResultLine)
    .sort((a, b) => a.custom_id.localeCompare(b.custom_id));
}

describe('embeddings through the official SDK', () => {
  it('come out of a batch as they come from the provider itself, and have ridden in one of its batches', async () => {
    const lines = [
      line('one', 'The river turns the wheel.'),
      line('several', ['grain', 'flour and bread', 'Say {{ hello }}.'], { dimensions: 64 }),
      line('packed', ['grain', 'stone'], { encoding_format: 'base64', dimensions: 32 }),
    ];
    const [ours, theirs] = await Promise.all([runBatch(millrace, lines), runBatch(simulator, lines)]);
    expect(ours).toMatchObject({
      status: 'completed',
      endpoint: '/v1/embeddings',
      request_counts: { total: 3, completed: 3, failed: 0 },
      errors: null,
    });
    expect(ours.usage).toMatchObject({ output_tokens: 0, input_tokens: theirs.usage!.input_tokens });

    const bodies = async (client: OpenAI, batch: Batch) =>
      (await linesOf(client, batch.output_file_id)).map(({ custom_id, response }) => ({
        custom_id,
        status: response!.status_code,
        body: response!.body,
      }));
    const answers = await bodies(millrace, ours);
    expect(answers).toEqual(await bodies(simulator, theirs));
    const lengths = answers.map(({ body }) => body.data.map(({ embedding }) => embedding.length));
    // 32 floats of 4 bytes are 172 characters in base64.
    expect(lengths).toEqual([[1_536], [172, 172], [64, 64, 64]]);

    const batches = joinBatches(readJournal(stack.simulatorJournalPath!));
    expect(batches.length).toBe(2);
    const jobs = await createHttpClient(stack).send(`/v1/jobs?metadata[batch_id]=${ours.id}`);
    const { data } = (await jobs.json()) as { data: { id: string; type: string; cost_usd: string }[] };
    expect(data.map(({ type }) => type)).toEqual(['embed', 'embed', 'embed']);
  }, 120_000);

  it('name the lines that cannot be served', async () => {
    const batch = await runBatch(millrace, [
      line('fine', 'fine', { user: 'somebody' }),
      line('tokens', [1, 2, 3]),
      line('lists of tokens', [[1], [2]]),
      line('empty', ''),
      line('none', []),
      line('anthropic', 'x', { model: 'anthropic/claude-haiku-5-5' }),
      line('format', 'x', { encoding_format: 'int8' }),
      line(
        'too many',
        Array.from({ length: 2_049 }, () => 'x'),
      ),
      line('missing', undefined),
    ]);
    expect(batch.status).toBe('failed');
    const problems = batch.errors!.data!.map(({ line: at, code, param }) => [at, code, param]);
    expect(problems).toEqual([
      [2, 'unsupported_parameter', 'body.input'],
      [3, 'unsupported_parameter', 'body.input'],
      [4, 'invalid_value', 'body.input'],
      [5, 'invalid_value', 'body.input'],
      [6, 'invalid_value', 'body.model'],
      [7, 'invalid_value', 'body.encoding_format'],
      [8, 'invalid_value', 'body.input'],
      [9, 'missing_required_parameter', 'body.input'],
    ]);
  });
});

describe('an embed job', () => {
  it('answers in realtime with the vector that the provider gives, at the price of its input', async () => {
    const client = createHttpClient(stack);
    const { id } = await client.submit('embed-one', {
      type: 'embed',
      model: `openai/${MODEL}`,
      text: 'The {{ input }} turns the wheel.',
      dimensions: 16,
      input: 'river',
    });
    const [job] = await client.allEnded([id], 20_000);
    const direct = await simulator.embeddings.create({
      model: MODEL,
      input: 'The river turns the wheel.',
      dimensions: 16,
    });
    expect(job).toMatchObject({
      type: 'embed',
      status: 'completed',
      output: direct.data[0]!.embedding,
      usage: { input_tokens: direct.usage.prompt_tokens, output_tokens: 0, calls: 1 },
    });
    expect(simulatedProvider(stack).callsOf(id)).toHaveLength(1);
  });
});
