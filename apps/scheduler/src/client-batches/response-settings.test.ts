import type { Readable } from 'node:stream';
import type { BlobStore } from '@millrace/blobs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openBatchFixture } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const endpoint = '/v1/responses';
const responseLine = (customId: string, body: object = {}): object => ({
  custom_id: customId,
  method: 'POST',
  url: endpoint,
  body: { model: 'cheap', input: `This is ${customId}.`, ...body },
});

const asked = {
  instructions: 'Be {{ brief }}.',
  metadata: { team: 'mill' },
  parallel_tool_calls: false,
  temperature: 0.2,
  tool_choice: 'none',
  top_p: 0.5,
};
const defaults = {
  instructions: null,
  metadata: {},
  parallel_tool_calls: true,
  temperature: 1,
  tool_choice: 'auto',
  top_p: 1,
};
const always = { tools: [], error: null, incomplete_details: null };

/** The bodies of the output file, by `custom_id`. */
async function answersOf(outputFileId: string | null): Promise<Map<unknown, unknown>> {
  const lines = await fixture.linesOf(outputFileId);
  return new Map(lines.map((each) => [each['custom_id'], (each['response'] as { body: unknown }).body]));
}

it('an answered line of responses says what it was asked with, also after lines that have no answer', async () => {
  const lines = [responseLine('plain'), '', responseLine('failed', { temperature: 0.9 })];
  const id = await fixture.create([...lines, responseLine('asked', asked)], { endpoint });
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  const [plain, failed, last] = await fixture.jobs(id);
  await fixture.complete(plain!);
  await fixture.fail(failed!);
  await fixture.complete(last!);
  const answers = await answersOf((await fixture.moveTo(id, 'completed')).outputFileId);
  expect([...answers.keys()]).toEqual(['plain', 'asked']);
  expect(answers.get('plain')).toMatchObject({ ...defaults, ...always });
  expect(answers.get('asked')).toMatchObject({ ...asked, ...always });
});

it('where the input is gone it says that it does not know', async () => {
  const id = await fixture.create([responseLine('asked', asked)], { endpoint });
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  const [job] = await fixture.jobs(id);
  await fixture.complete(job!);
  await fixture.blobs.remove((await fixture.batch(id)).inputFileId);
  const answers = await answersOf((await fixture.moveTo(id, 'completed')).outputFileId);
  const unknown = { instructions: null, metadata: null, temperature: null, top_p: null };
  expect(answers.get('asked')).toMatchObject({ ...unknown, ...always, tool_choice: 'auto' });
});

it('the input is closed also when the store fails before it takes an answer', async () => {
  // Larger than what is read ahead: nothing else closes it.
  const long = Array.from({ length: 40 }, (_each, at) => responseLine(`${at}`, { input: 'x'.repeat(9_000) }));
  const id = await fixture.create(long, { endpoint });
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  for (const job of await fixture.jobs(id)) await fixture.complete(job);
  const streams: Readable[] = [];
  const blobs: BlobStore = {
    ...fixture.blobs,
    async read(key, fromByte) {
      const content = await fixture.blobs.read(key, fromByte);
      if (content) streams.push(content.stream);
      return content;
    },
    write: () => Promise.reject(new Error('the store is down')),
  };
  await expect(fixture.move(id, { blobs })).rejects.toThrow('the store is down');
  expect(streams.map((stream) => stream.destroyed)).toEqual([true]);
});
