import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClientLineResult } from '@millrace/ledger';
import { toResultLine } from './result-line.ts';
import { chatLine, openBatchFixture } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const endpoint = '/v1/embeddings';
const embedLine = (customId: string, inputs: number) => ({
  custom_id: customId,
  method: 'POST',
  url: endpoint,
  body: { model: 'gpt-vectors', input: Array.from({ length: inputs }, () => 'a'), dimensions: 8 },
});

describe('a line with the most vectors of the most dimensions', () => {
  const vector = Buffer.from(new Float32Array(3_072).fill(0.123456789).buffer).toString('base64');
  const line: ClientLineResult = {
    line: 1,
    // What a client may write must not be taken for the place of the vectors.
    customId: '"data":[]',
    jobId: 'job_1',
    status: 'completed',
    output: Array.from({ length: 200 }, () => vector),
    error: null,
    finishedAt: 1_000,
    erased: false,
    target: 'openai/text-embedding-3-large',
    truncated: false,
    inputTokens: 5,
    cachedInputTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    encodingFormat: 'float',
  };

  it('is written in pieces of one vector, all of which are one line', () => {
    const pieces = [...toResultLine(line, endpoint)];
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(100_000);
    const written = JSON.parse(pieces.join('')) as {
      custom_id: string;
      response: { body: { data: { index: number; embedding: number[] }[] } };
    };
    expect(written.custom_id).toBe('"data":[]');
    const { data } = written.response.body;
    expect(data.map(({ index }) => index)).toEqual(Array.from({ length: 200 }, (_each, at) => at));
    expect(data.every(({ embedding }) => embedding.length === 3_072)).toBe(true);
  });

  it('is a line also without any vector', () => {
    const text = [...toResultLine({ ...line, output: [] }, endpoint)].join('');
    expect(JSON.parse(text)).toMatchObject({ response: { body: { data: [] } } });
  });
});

it('while results are written the process gets to its other work', async () => {
  const id = await fixture.create(Array.from({ length: 8 }, (_each, at) => chatLine(`line ${at}`)));
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  for (const job of await fixture.jobs(id)) await fixture.complete(job, 'x'.repeat(100_000));
  let pieces = 0;
  let turns = 0;
  // One that is always ready for more, as a store that fills its parts is.
  const blobs = {
    ...fixture.blobs,
    async write(_key: string, content: AsyncIterable<Uint8Array>) {
      let bytes = 0;
      for await (const piece of content) {
        setImmediate(() => (turns += pieces === 0 ? 0 : 1));
        pieces += 1;
        bytes += piece.length;
        if (pieces === 8) expect(turns).toBeGreaterThan(0);
      }
      return { bytes };
    },
  };
  for (let moves = 0; moves < 5; moves += 1) await fixture.move(id, { blobs });
  expect(await fixture.batch(id)).toMatchObject({ status: 'completed' });
  expect(pieces).toBe(8);
});

it('50,000 texts to embed are a batch, one more is not', async () => {
  const most = [
    ...Array.from({ length: 24 }, (_each, at) => embedLine(`full ${at}`, 2_048)),
    embedLine('rest', 848),
  ];
  const change = { maxLineBytes: 100_000 };
  const fits = await fixture.create(most, { endpoint });
  await fixture.move(fits, change);
  expect(await fixture.batch(fits)).toMatchObject({ total: 25, problems: [] });
  const over = await fixture.create([...most, embedLine('one more', 1)], { endpoint });
  await fixture.move(over, change);
  expect(await fixture.batch(over)).toMatchObject({
    status: 'failed',
    problems: [{ code: 'too_many_embedding_inputs', line: null, param: null }],
  });
});
