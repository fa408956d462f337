import { createId } from '@millrace/contracts';
import { addClientLines, createEndpoint } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MISSING_FOR_GOOD_MS } from './read-input.ts';
import { chatLine, openBatchFixture, tenantId } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
  await createEndpoint(fixture.database, {
    tenantId,
    url: 'https://example.com/hook',
    events: ['batch.failed'],
    description: '',
  });
});
afterAll(() => fixture.close());

const later = { now: () => Date.now() + MISSING_FOR_GOOD_MS };
const gone = [{ code: 'invalid_file', line: null, param: 'input_file_id' }];

it('a batch whose input is gone before its validation waits for it, then fails', async () => {
  const id = await fixture.create([chatLine('a')]);
  const { inputFileId } = await fixture.batch(id);
  await fixture.blobs.remove(inputFileId);
  await expect(fixture.move(id)).rejects.toThrow('not in the blob store');
  expect((await fixture.batch(id)).status).toBe('validating');
  await fixture.move(id, later);
  expect(await fixture.batch(id)).toMatchObject({ status: 'failed', problems: gone });
  expect(fixture.delivered).toHaveLength(1);
});

it('an input that comes back in time is not missed', async () => {
  const id = await fixture.create([chatLine('a')]);
  const { blobs } = fixture;
  const away = { ...blobs, read: async () => null };
  await expect(fixture.move(id, { blobs: away })).rejects.toThrow('not in');
  await fixture.move(id, later);
  expect((await fixture.batch(id)).status).toBe('in_progress');
  // The first silence is forgotten: a second one waits as long again.
  await expect(fixture.move(id, { ...later, blobs: away })).rejects.toThrow('not in');
  expect((await fixture.batch(id)).problems).toEqual([]);
});

it('lines that were noted by somebody who died do not make a batch without an input wait for its window', async () => {
  const id = await fixture.create([chatLine('a'), chatLine('b')]);
  await fixture.moveTo(id, 'in_progress');
  await addClientLines(fixture.database, id, [{ line: 1, customId: 'a', jobId: createId('job') }]);
  await fixture.blobs.remove((await fixture.batch(id)).inputFileId);
  await expect(fixture.move(id)).rejects.toThrow('not in the blob store');
  await fixture.move(id, later);
  const done = await fixture.moveTo(id, 'failed');
  expect(done).toMatchObject({ total: 2, completed: 0, failed: 2, problems: gone, expiredAt: null });
});

it('a batch that loses its input under way keeps what its jobs give, and fails', async () => {
  const id = await fixture.create(Array.from({ length: 150 }, (_each, at) => chatLine(`line ${at}`)));
  await fixture.moveTo(id, 'in_progress');
  let left = 1;
  await fixture.move(id, { mayGoOn: () => (left -= 1) >= 0 }).catch(() => undefined);
  const jobs = await fixture.jobs(id);
  expect(jobs).toHaveLength(100);
  await fixture.blobs.remove((await fixture.batch(id)).inputFileId);
  await expect(fixture.move(id)).rejects.toThrow('not in the blob store');
  await fixture.move(id, later);
  expect(await fixture.batch(id)).toMatchObject({ status: 'in_progress', problems: gone });
  for (const job of jobs) {
    await fixture.move(id);
    await fixture.complete(job);
  }
  const before = fixture.delivered.length;
  const done = await fixture.moveTo(id, 'failed');
  expect(done).toMatchObject({ total: 150, completed: 100, failed: 50, problems: gone, expiredAt: null });
  expect(done.failedAt).toBeGreaterThan(0);
  expect(await fixture.linesOf(done.outputFileId)).toHaveLength(100);
  const errors = await fixture.linesOf(done.errorFileId);
  expect(errors).toHaveLength(50);
  expect(errors[0]).toMatchObject({ response: null, error: { code: 'input_file_missing' } });
  expect(fixture.delivered).toHaveLength(before + 1);
});
