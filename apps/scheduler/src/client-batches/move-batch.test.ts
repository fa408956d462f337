import { createId } from '@millrace/contracts';
import {
  addClientLines,
  cancelClientBatch,
  cancelJob,
  createEndpoint,
  deleteEndpoint,
  deleteFile,
  findAbandonedFiles,
  pruneClientBatches,
  pruneJobs,
} from '@millrace/ledger';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatLine, openBatchFixture, tenantId } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const many = (count: number): object[] =>
  Array.from({ length: count }, (_each, at) => chatLine(`line ${at}`));

describe('expanding', () => {
  it('makes one job of each line, with the batch in its metadata and the window as its deadline', async () => {
    const id = await fixture.create([
      chatLine('a', { max_tokens: 7, metadata: { user: 'u1' } }),
      '',
      chatLine('b'),
    ]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id);
    const batch = await fixture.batch(id);
    expect(batch).toMatchObject({ total: 2, expandedLines: 2, completed: 0, failed: 0, model: 'cheap' });
    const rows = await fixture.database.query(
      `SELECT type, lane, priority, metadata, deadline_at AS deadline, idempotency_key AS key, content FROM jobs
       WHERE starts_with(idempotency_key, $1) ORDER BY idempotency_key`,
      [id],
    );
    expect(rows).toMatchObject([
      {
        type: 'call',
        lane: 'auto',
        priority: 'background',
        metadata: { user: 'u1', batch_id: id },
        deadline: batch.expiresAt,
        key: `${id}/1`,
        content: { plan: { type: 'call', route: 'cheap', max_output_tokens: 7 } },
      },
      { metadata: { batch_id: id }, key: `${id}/2` },
    ]);
  });

  it('wakes the jobs in their tenant’s turn', async () => {
    const id = await fixture.create(many(3));
    await fixture.moveTo(id, 'in_progress');
    const woken: { jobId: string; tenantId: string }[] = [];
    await fixture.move(id, { wake: async (jobs) => void woken.push(...jobs) });
    expect(woken.map(({ jobId }) => jobId)).toEqual(await fixture.jobs(id));
    expect(new Set(woken.map((each) => each.tenantId))).toEqual(new Set([tenantId]));
  });

  it('goes on where it was left off, and makes no job twice', async () => {
    const id = await fixture.create(many(450));
    await fixture.moveTo(id, 'in_progress');
    for (const turns of [1, 2]) {
      let left = turns;
      await fixture.move(id, { mayGoOn: () => (left -= 1) >= 0 }).catch(() => undefined);
    }
    const { expandedLines } = await fixture.batch(id);
    expect(expandedLines).toBe(300);
    expect(await fixture.jobs(id)).toHaveLength(300);
    await fixture.move(id);
    expect(await fixture.jobs(id)).toHaveLength(450);
    expect((await fixture.batch(id)).expandedLines).toBe(450);
  });

  it('keeps the jobs that somebody who died had chosen, committed or not', async () => {
    const id = await fixture.create(many(3));
    await fixture.moveTo(id, 'in_progress');
    // It died after noting two lines and committing the job of neither …
    const chosen = [createId('job'), createId('job')];
    const noted = chosen.map((jobId, at) => ({ line: at + 1, customId: `line ${at}`, jobId }));
    await addClientLines(fixture.database, id, noted);
    await fixture.move(id);
    expect((await fixture.jobs(id)).slice(0, 2)).toEqual(chosen);
    // … and now after committing all of them, before noting how far it had come.
    const jobs = await fixture.jobs(id);
    await fixture.complete(jobs[0]!);
    await fixture.database.query(
      'UPDATE client_batches SET expanded_lines = 0, expanded_bytes = 0 WHERE id = $1',
      [id],
    );
    await fixture.move(id);
    expect(await fixture.jobs(id)).toEqual(jobs);
    expect(await fixture.batch(id)).toMatchObject({ expandedLines: 3, completed: 1 });
  });

  it('waits while the tenant has as many jobs open as it may have', async () => {
    const id = await fixture.create(many(2));
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id, { maxOpenJobsPerTenant: 1 });
    expect(await fixture.jobs(id)).toHaveLength(0);
    await fixture.move(id);
    expect(await fixture.jobs(id)).toHaveLength(2);
  });

  it('fails a line whose model went out of the configuration after validation, and it alone', async () => {
    const id = await fixture.create([chatLine('stays'), chatLine('goes', { model: 'gpt-x' })]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id, { resolveModel: (name) => (name === 'cheap' ? { route: name } : null) });
    const [job] = await fixture.jobs(id);
    await fixture.complete(job!);
    const done = await fixture.moveTo(id, 'completed');
    expect(done).toMatchObject({ completed: 1, failed: 1 });
    expect(await fixture.linesOf(done.errorFileId)).toMatchObject([
      { custom_id: 'goes', response: { status_code: 500, body: { error: { code: 'not_run' } } } },
    ]);
  });
});

describe('results', () => {
  it('are written once all jobs have ended, each job where it belongs', async () => {
    const id = await fixture.create([chatLine('a'), chatLine('b'), chatLine('c')]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id);
    const [a, b, c] = await fixture.jobs(id);
    await fixture.complete(a!, 'first');
    await fixture.move(id);
    expect((await fixture.batch(id)).status).toBe('in_progress');
    await fixture.database.query(
      `UPDATE jobs SET status = 'failed', finished_at = now(), wake_at = NULL, error = $2::json WHERE id = $1`,
      [
        b,
        JSON.stringify({
          code: 'content_refused',
          message: 'no',
          provider: { name: 'openai', status: 403, code: null, request_id: null },
        }),
      ],
    );
    await fixture.complete(c!, 'third');
    const done = await fixture.moveTo(id, 'completed');
    expect(done).toMatchObject({ total: 3, completed: 2, failed: 1 });
    expect(await fixture.linesOf(done.outputFileId)).toMatchObject([
      { custom_id: 'a', response: { status_code: 200, request_id: a }, error: null },
      { custom_id: 'c', response: { status_code: 200, body: { object: 'chat.completion' } } },
    ]);
    expect(await fixture.linesOf(done.errorFileId)).toMatchObject([
      { custom_id: 'b', response: { status_code: 403, body: { error: { code: 'content_refused' } } } },
    ]);
  });

  it('are written over by whoever writes them again after a crash, and told once', async () => {
    const made = await createEndpoint(fixture.database, {
      tenantId,
      url: 'https://example.com/hook',
      events: ['batch.completed'],
      description: '',
    });
    const id = await fixture.create([chatLine('a')]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id);
    await fixture.complete((await fixture.jobs(id))[0]!, 'x'.repeat(100));
    // The blobs are written, and the end is not recorded.
    const broken = { ...fixture.database, transaction: () => Promise.reject(new Error('killed')) };
    await expect(fixture.move(id, { database: broken })).rejects.toThrow('killed');
    const chosen = await fixture.batch(id);
    expect(chosen.status).toBe('finalizing');
    const done = await fixture.moveTo(id, 'completed');
    expect(done.outputFileId).toBe(chosen.outputFileId);
    expect(await fixture.linesOf(done.outputFileId)).toHaveLength(1);
    const deliveries = await fixture.database.query(
      'SELECT id, event_type FROM webhook_deliveries WHERE endpoint_id = $1',
      [made!.endpoint.id],
    );
    await deleteEndpoint(fixture.database, tenantId, made!.endpoint.id);
    expect(deliveries).toEqual([{ id: fixture.delivered.at(-1), event_type: 'batch.completed' }]);
  });

  it('stay to be had while their jobs would be pruned, and go with their time', async () => {
    const id = await fixture.create([chatLine('a'), chatLine('b')]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id);
    const [a, b] = await fixture.jobs(id);
    await fixture.complete(a!, 'kept');
    await fixture.database.query(`UPDATE jobs SET finished_at = finished_at WHERE id = $1`, [a]);
    await pruneJobs(fixture.database, -1_000, 1_000);
    expect(await fixture.jobs(id)).toEqual([a, b]);
    await fixture.complete(b!);
    const done = await fixture.moveTo(id, 'completed');
    expect(await fixture.linesOf(done.outputFileId)).toHaveLength(2);
    await pruneJobs(fixture.database, -1_000, 1_000);
    expect(await fixture.jobs(id)).toEqual([]);
    await pruneClientBatches(fixture.database, -1_000, 1_000);
    await expect(fixture.batch(id)).rejects.toThrow('no such batch');
  });
});

describe('ending early', () => {
  it('cancelling ends open jobs and keeps what was answered, also before all lines were jobs', async () => {
    const id = await fixture.create(many(300));
    await fixture.moveTo(id, 'in_progress');
    let left = 2;
    await fixture.move(id, { mayGoOn: () => (left -= 1) >= 0 }).catch(() => undefined);
    const jobs = await fixture.jobs(id);
    expect(jobs).toHaveLength(200);
    await fixture.complete(jobs[5]!, 'kept');
    await cancelClientBatch(fixture.database, tenantId, id);
    const done = await fixture.moveTo(id, 'cancelled');
    expect(done).toMatchObject({ total: 300, completed: 1, failed: 0 });
    expect(await fixture.linesOf(done.outputFileId)).toMatchObject([{ custom_id: 'line 5' }]);
    const errors = await fixture.linesOf(done.errorFileId);
    expect(new Set(errors.map((line) => line['custom_id'])).size).toBe(299);
    expect(errors.at(-1)).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
    const open = await fixture.database.query(
      'SELECT FROM jobs WHERE starts_with(idempotency_key, $1) AND finished_at IS NULL',
      [id],
    );
    expect(open).toEqual([]);
  });

  it('a batch that is cancelled before its validation has no files and no job', async () => {
    const id = await fixture.create(many(2));
    await cancelClientBatch(fixture.database, tenantId, id);
    const done = await fixture.moveTo(id, 'cancelled');
    expect(done).toMatchObject({ total: 0, outputFileId: null, errorFileId: null });
    expect(await fixture.jobs(id)).toEqual([]);
  });

  it('lines that had not become jobs when the window was over are expired, those that nobody committed too', async () => {
    const id = await fixture.create(many(300));
    await fixture.moveTo(id, 'in_progress');
    let left = 1;
    await fixture.move(id, { mayGoOn: () => (left -= 1) >= 0 }).catch(() => undefined);
    await addClientLines(fixture.database, id, [{ line: 101, customId: 'line 100', jobId: createId('job') }]);
    for (const job of await fixture.jobs(id)) await fixture.complete(job);
    await fixture.database.query('UPDATE client_batches SET expires_at = now() WHERE id = $1', [id]);
    const done = await fixture.moveTo(id, 'expired');
    expect(done).toMatchObject({ total: 300, completed: 100, failed: 200 });
    const errors = await fixture.linesOf(done.errorFileId);
    expect(new Set(errors.map((line) => line['custom_id'])).size).toBe(200);
    expect(errors[0]).toMatchObject({ error: { code: 'batch_expired' } });
  });

  it('lines whose input is gone when the window is over are in the error file by their number', async () => {
    const id = await fixture.create(many(3));
    await fixture.moveTo(id, 'in_progress');
    await fixture.database.query(
      "UPDATE client_batches SET expires_at = now(), input_file_id = 'file_gone' WHERE id = $1",
      [id],
    );
    const done = await fixture.moveTo(id, 'expired');
    expect(done).toMatchObject({ total: 3, completed: 0, failed: 3 });
    const errors = await fixture.linesOf(done.errorFileId);
    expect(errors.map((line) => line['custom_id'])).toEqual(['line-1', 'line-2', 'line-3']);
  });

  it('a single job that somebody cancels is in the error file, and the batch completes', async () => {
    const id = await fixture.create([chatLine('a'), chatLine('b')]);
    await fixture.moveTo(id, 'in_progress');
    await fixture.move(id);
    const [a, b] = await fixture.jobs(id);
    await cancelJob(fixture.database, tenantId, a!);
    await fixture.complete(b!);
    const done = await fixture.moveTo(id, 'completed');
    expect(done).toMatchObject({ completed: 1, failed: 0 });
    expect(await fixture.linesOf(done.errorFileId)).toHaveLength(1);
  });
});

it('an input that is deleted stays until its batch has ended', async () => {
  const id = await fixture.create([chatLine('a')]);
  const { inputFileId } = await fixture.batch(id);
  expect(await deleteFile(fixture.database, tenantId, inputFileId)).toBe(true);
  expect(await findAbandonedFiles(fixture.database, 100)).not.toContain(inputFileId);
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  await fixture.complete((await fixture.jobs(id))[0]!);
  await fixture.moveTo(id, 'completed');
  expect(await findAbandonedFiles(fixture.database, 100)).toContain(inputFileId);
});
