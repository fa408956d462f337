import { jobObjectSchema, stepObjectSchema } from '@millrace/contracts';
import type { JobObject, Problem, StepObject } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

interface List<Item> {
  object: 'list';
  data: Item[];
  has_more: boolean;
  first_id: string | null;
  last_id: string | null;
}

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  key = await api.createKey('acme', 'jobs');
});
afterAll(() => api.stop());

const UNKNOWN = 'job_00000000000000000000000000';

test('another tenant sees nothing of a job on any route, exactly as if it did not exist', async () => {
  const stranger = await api.createKey('stranger', 'jobs');
  const { body: job } = await api.submit(key, { ...callBody, metadata: { feature: 'isolation' } });
  const routes: [string, string, unknown?][] = [
    ['GET', ''],
    ['GET', '/steps'],
    ['GET', '/events'],
    ['POST', '/cancel'],
    ['POST', '/resolve', { action: 'retry' }],
    ['DELETE', ''],
  ];
  for (const [method, suffix, body] of routes) {
    const ask = async (id: string): Promise<unknown> => {
      const answer = await api.send<Problem>(stranger, method, `/v1/jobs/${id}${suffix}`, { body });
      const { request_id: _id, instance: _instance, ...problem } = answer.body;
      return { status: answer.status, problem };
    };
    const foreign = await ask(job.id);
    expect(foreign).toMatchObject({ status: 404, problem: { code: 'not_found' } });
    expect(foreign).toEqual(await ask(UNKNOWN));
  }
  const list = await api.send<List<JobObject>>(stranger, 'GET', '/v1/jobs');
  expect(list.body.data).toEqual([]);
  const foreignCursor = await api.send<List<JobObject>>(stranger, 'GET', `/v1/jobs?before=${UNKNOWN}`);
  expect(foreignCursor.body.data).toEqual([]);
  expect((await api.send(key, 'GET', `/v1/jobs/${job.id}`)).body.status).toBe('queued');
});

test('jobs are listed newest first, page by page in both directions', async () => {
  const lister = await api.createKey('lister', 'jobs');
  const ids: string[] = [];
  for (let number = 0; number < 5; number += 1) ids.unshift((await api.submit(lister, callBody)).body.id);
  const page = async (query: string) =>
    (await api.send<List<JobObject>>(lister, 'GET', `/v1/jobs?${query}`)).body;
  const first = await page('limit=2');
  expect(first.data.map((job) => job.id)).toEqual(ids.slice(0, 2));
  expect(first).toMatchObject({ object: 'list', has_more: true, first_id: ids[0], last_id: ids[1] });
  const last = await page(`limit=3&after=${ids[1]}`);
  expect(last.data.map((job) => job.id)).toEqual(ids.slice(2));
  expect(last.has_more).toBe(false);
  const back = await page(`limit=2&before=${ids[3]}`);
  expect([back.data.map((job) => job.id), back.has_more]).toEqual([ids.slice(1, 3), true]);
});

test('jobs are found by status, type, lane, metadata and time', async () => {
  const finder = await api.createKey('finder', 'jobs');
  const chain = { type: 'chain', steps: [{ name: 'a', ...callBody }] };
  const a = (await api.submit(finder, { ...callBody, metadata: { feature: 'digest', user: 'u_1' } })).body;
  const b = (await api.submit(finder, { ...chain, lane: 'realtime', metadata: { feature: 'digest' } })).body;
  const c = (await api.submit(finder, callBody)).body;
  await api.send(finder, 'POST', `/v1/jobs/${c.id}/cancel`);
  const find = async (query: string): Promise<string[]> =>
    (await api.send<List<JobObject>>(finder, 'GET', `/v1/jobs?${query}`)).body.data.map((job) => job.id);
  expect(await find('status=cancelled')).toEqual([c.id]);
  expect(await find('type=chain')).toEqual([b.id]);
  expect(await find('lane=realtime')).toEqual([b.id]);
  expect(await find('metadata[feature]=digest')).toEqual([b.id, a.id]);
  expect(await find('metadata%5Bfeature%5D=digest&metadata[user]=u_1')).toEqual([a.id]);
  const laterThanAll = new Date(Date.parse(c.created_at) + 1_000).toISOString();
  expect(await find(`created_after=${laterThanAll}`)).toEqual([]);
  expect(await find(`created_before=${laterThanAll}`)).toEqual([c.id, b.id, a.id]);
});

test.each([
  ['status=done', 'status'],
  ['limit=0', 'limit'],
  ['limit=101', 'limit'],
  ['colour=red', 'colour'],
  ['created_after=yesterday', 'created_after'],
  ['status=queued&status=failed', 'status'],
  ['metadata[a]=1&metadata[a]=2', 'metadata.a'],
  ['after=a&before=b', 'before'],
  ['metadata[a]=%00', 'query'],
])('the query %s is refused with its path', async (query, path) => {
  const answer = await api.send(key, 'GET', `/v1/jobs?${query}`);
  expect([answer.status, answer.body.errors?.map((error) => error.path)]).toEqual([422, [path]]);
});

test('cancelling ends a job once; a job that has ended stays as it is', async () => {
  const { body: job } = await api.submit(key, callBody);
  const cancelled = await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  expect([cancelled.status, cancelled.body.status]).toEqual([200, 'cancelled']);
  expect(jobObjectSchema.parse(cancelled.body).finished_at).not.toBeNull();
  const again = await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  expect([again.status, again.body]).toEqual([200, cancelled.body]);
});

test('cancelling waits until the calls under way have reported what they used, but not for ever', async () => {
  const { body: job } = await api.submit(key, callBody);
  await startCall(job.id);
  const startedAt = performance.now();
  const slow = await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  expect(slow.body.status).toBe('cancelled');
  expect(performance.now() - startedAt).toBeGreaterThan(900);
  expect(performance.now() - startedAt).toBeLessThan(3_000);

  const { body: second } = await api.submit(key, callBody);
  await startCall(second.id);
  const answer = api.send(key, 'POST', `/v1/jobs/${second.id}/cancel`);
  await waitFor(
    async () => (await api.send(key, 'GET', `/v1/jobs/${second.id}`)).body.status === 'cancelled',
    { what: 'the cancellation' },
  );
  // What a worker writes when it has aborted the call, in one statement as it does.
  await api.database.query(
    `WITH reported AS (UPDATE jobs SET output_tokens = 17, calls = 1 WHERE id = $1)
     UPDATE attempts SET status = 'cancelled', finished_at = now() WHERE job_id = $1`,
    [second.id],
  );
  expect((await answer).body.usage.output_tokens).toBe(17);
});

test('only a job that has ended can be erased, and then its content is gone', async () => {
  const { body: job } = await api.submit(key, { ...callBody, metadata: { user: 'u_1' } });
  const early = await api.send(key, 'DELETE', `/v1/jobs/${job.id}`);
  expect([early.status, early.body.code]).toEqual([409, 'job_not_terminal']);
  await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  expect((await api.send(key, 'DELETE', `/v1/jobs/${job.id}`)).status).toBe(204);
  const erased = await api.send(key, 'GET', `/v1/jobs/${job.id}`);
  expect(erased.body).toMatchObject({ erased: true, metadata: {}, status: 'cancelled' });
  const [row] = await api.database.query<{ content: unknown }>('SELECT content FROM jobs WHERE id = $1', [
    job.id,
  ]);
  expect(row?.content).toBeNull();
});

test('a job that holds nothing cannot be resolved; one that does goes on', async () => {
  const { body: job } = await api.submit(key, callBody);
  const idle = await api.send(key, 'POST', `/v1/jobs/${job.id}/resolve`, { body: { action: 'retry' } });
  expect([idle.status, idle.body.code]).toEqual([409, 'job_not_waiting']);
  await startCall(job.id);
  await api.database.query(`UPDATE steps SET status = 'held', wake_at = NULL WHERE job_id = $1`, [job.id]);
  await api.database.query(`UPDATE jobs SET status = 'requires_action' WHERE id = $1`, [job.id]);
  const wrong = await api.send(key, 'POST', `/v1/jobs/${job.id}/resolve`, { body: { action: 'forget' } });
  expect([wrong.status, wrong.body.errors?.[0]?.path]).toEqual([422, 'action']);
  const resolved = await api.send(key, 'POST', `/v1/jobs/${job.id}/resolve`, { body: { action: 'retry' } });
  expect([resolved.status, resolved.body.status]).toEqual([200, 'in_progress']);
});

test('the steps of a job are listed with their attempts', async () => {
  const { body: job } = await api.submit(key, callBody);
  await startCall(job.id);
  const list = await api.send<List<StepObject>>(key, 'GET', `/v1/jobs/${job.id}/steps`);
  expect(list.body.data.map((step) => stepObjectSchema.parse(step).status)).toEqual(['in_progress']);
  expect(list.body.data[0]).toMatchObject({
    key: 'call',
    target: 'openai/test-model',
    attempts: [{ number: 1, status: 'sent', target: 'openai/test-model' }],
  });
});

test('a long poll is answered when the job ends, and at once for one that has ended', async () => {
  const { body: job } = await api.submit(key, callBody);
  const waiting = api.send(key, 'GET', `/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } });
  await waitFor(
    async () =>
      (await api.send<string>(null, 'GET', '/metrics')).text.includes('kind="long_poll",app="api"} 1'),
    {
      what: 'the long poll to wait',
    },
  );
  await api.send(key, 'POST', `/v1/jobs/${job.id}/cancel`);
  const answer = await waiting;
  expect([answer.status, answer.body.status]).toEqual([200, 'cancelled']);
  expect(answer.headers.get('preference-applied')).toBe('wait=30');
  const again = await api.send(key, 'GET', `/v1/jobs/${job.id}`, { headers: { prefer: 'wait=30' } });
  expect(again.body.status).toBe('cancelled');
});

/** Brings a job's one step to the point where its call has been sent, as a worker does. */
async function startCall(jobId: string): Promise<void> {
  await api.database.query(
    `INSERT INTO steps (job_id, key, priority, target, pool, status, request)
     VALUES ($1, 'call', 'standard', 'openai/test-model', 'openai', 'sent', '{}')`,
    [jobId],
  );
  await api.database.query(
    `INSERT INTO attempts (job_id, step_key, number, fence, target, purpose, status, owner)
     VALUES ($1, 'call', 1, 1, 'openai/test-model', 'answer', 'sent', 'test')`,
    [jobId],
  );
  await api.database.query(`UPDATE jobs SET status = 'in_progress', started_at = now() WHERE id = $1`, [
    jobId,
  ]);
}
