import { jobObjectSchema, problemSchema } from '@millrace/contracts';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { waitFor } from '@millrace/test-support';
import { createProducer } from '@millrace/transport';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  key = await api.createKey('acme', 'jobs');
});
afterAll(() => api.stop());

const countJobs = async (): Promise<number> =>
  (await api.database.query<{ count: number }>('SELECT count(*)::int AS count FROM jobs'))[0]!.count;

test('a job is answered 202 with its address, and is in the ledger with its first event', async () => {
  const answer = await api.submit(key, { ...callBody, metadata: { user: 'u_1' }, deadline: '2h' });
  expect(answer.status).toBe(202);
  expect(answer.headers.get('location')).toBe(`/v1/jobs/${answer.body.id}`);
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(jobObjectSchema.parse(answer.body)).toMatchObject({
    status: 'queued',
    type: 'call',
    priority: 'standard',
    lane: 'auto',
    metadata: { user: 'u_1' },
  });
  const events = await api.database.query('SELECT sequence, type FROM job_events WHERE job_id = $1', [
    answer.body.id,
  ]);
  expect(events).toEqual([{ sequence: 1, type: 'job.queued' }]);
  const shown = await api.send(key, 'GET', `/v1/jobs/${answer.body.id}`);
  expect(shown.body).toEqual(answer.body);
});

test('a job may name the batch lane, and is found by it', async () => {
  const batch = { ...callBody, lane: 'batch', deadline: '24h', on_late: 'refuse' };
  const answer = await api.submit(key, batch);
  expect(answer.status).toBe(202);
  expect(answer.body).toMatchObject({ lane: 'batch', on_late: 'refuse' });
  const listed = await api.send(key, 'GET', '/v1/jobs?lane=batch');
  expect(listed.body).toMatchObject({ data: [{ id: answer.body.id }] });
  const late = await api.submit(key, { ...batch, deadline: '2h' });
  expect(late.status).toBe(422);
  expect(late.body.errors).toMatchObject([{ path: 'deadline' }]);
  const chainOf = (...names: string[]) => ({
    type: 'chain',
    steps: names.map((name) => ({ name, ...callBody })),
    lane: 'batch',
    deadline: '24h',
    on_late: 'refuse',
  });
  expect((await api.submit(key, chainOf('a'))).status).toBe(202);
  expect((await api.submit(key, chainOf('a', 'b', 'c'))).body.errors).toMatchObject([{ path: 'deadline' }]);
});

test('a job that names the batch lane is refused where its tenant’s data may not lie in batches', async () => {
  const forbidden = await api.createKey('discreet', 'jobs');
  await api.database.query("UPDATE tenants SET batch_allowed = false WHERE id = 'discreet'");
  const answer = await api.submit(forbidden, { ...callBody, lane: 'batch' });
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toMatchObject([{ path: 'lane' }]);
  expect((await api.submit(forbidden, { ...callBody, lane: 'auto' })).status).toBe(202);
});

test('the wake of an accepted job is put on the queue with a number of its priority, behind its tenant', async () => {
  const { body } = await api.submit(key, { ...callBody, priority: 'realtime' });
  const onError = (): void => undefined;
  const redis = connectRedis({ url: api.redisUrl, role: 'worker', name: 'test', onError });
  const producer = createProducer({ redis, names: keyNames(api.prefix), pools: [], onError });
  const [queue] = producer.queues;
  try {
    const wake = await waitFor(
      async () =>
        (await queue!.getJobs(['prioritized', 'waiting'])).find(
          (job) => (job.data as { jobId: string }).jobId === body.id,
        ),
      { what: 'the wake of the job' },
    );
    // 1 is the front of the class, for jobs that were begun; a tenant's first new job is one job behind the first place.
    expect(wake.opts.priority).toBe(3);
    expect(wake.data).toEqual({ jobId: body.id });
  } finally {
    await producer.close();
    await closeRedis(redis);
  }
});

test('the same key sent 100 times in parallel makes one job', async () => {
  const before = await countJobs();
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => api.submit(key, callBody, { 'idempotency-key': 'a hundred' })),
  );
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]));
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
  expect(answers.filter((answer) => answer.headers.get('idempotent-replayed') === null)).toHaveLength(1);
  expect(await countJobs()).toBe(before + 1);
});

test('the same key with another body is refused, with the fields in another order it is the same', async () => {
  const first = await api.submit(key, callBody, { 'idempotency-key': 'order' });
  const same = await api.submit(key, '{ "prompt": "Say hello.", "route": "cheap",\n "type": "call" }', {
    'idempotency-key': '"order"',
  });
  expect([same.status, same.body.id]).toEqual([202, first.body.id]);
  const other = await api.submit(key, { ...callBody, prompt: 'Other.' }, { 'idempotency-key': 'order' });
  expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
});

test('a replay of a job that has ended is answered 200', async () => {
  const first = await api.submit(key, callBody, { 'idempotency-key': 'ended' });
  await api.send(key, 'POST', `/v1/jobs/${first.body.id}/cancel`);
  const replay = await api.submit(key, callBody, { 'idempotency-key': 'ended' });
  expect([replay.status, replay.body.id, replay.body.status]).toEqual([200, first.body.id, 'cancelled']);
  expect(replay.headers.get('idempotent-replayed')).toBe('true');
});

test('a replay is answered with its job although its deadline has passed since', async () => {
  let tries = 0;
  // Where nothing got on for a moment, a deadline is over before its job is looked at.
  const { body, header, first } = await waitFor(
    async () => {
      tries += 1;
      const deadline = new Date(Date.now() + tries * 300).toISOString();
      const late = { body: { ...callBody, deadline }, header: { 'idempotency-key': `late ${tries}` } };
      const answer = await api.submit(key, late.body, late.header);
      return answer.status === 202 && { ...late, first: answer };
    },
    { what: 'a job to be accepted before its deadline', timeoutMs: 10_000 },
  );
  const deadlineAt = Date.parse(body.deadline);
  await waitFor(() => Date.now() > deadlineAt, { what: 'the deadline to pass' });
  const replay = await api.submit(key, body, header);
  expect([replay.status, replay.body.id]).toEqual([202, first.body.id]);
  const fresh = await api.submit(key, body);
  expect([fresh.status, fresh.body.errors]).toEqual([422, [{ path: 'deadline', message: 'is in the past' }]]);
});

test('two tenants may use the same idempotency key', async () => {
  const other = await api.createKey('other', 'jobs');
  const mine = await api.submit(key, callBody, { 'idempotency-key': 'shared' });
  const theirs = await api.submit(other, callBody, { 'idempotency-key': 'shared' });
  expect([mine.status, theirs.status]).toEqual([202, 202]);
  expect(theirs.body.id).not.toBe(mine.body.id);
});

test('a missing key and unusable keys are refused, and nothing is stored', async () => {
  const before = await countJobs();
  const missing = await api.send(key, 'POST', '/v1/jobs', { body: callBody });
  expect([missing.status, missing.body.code]).toEqual([400, 'idempotency_key_missing']);
  for (const bad of ['"half', '"a"b"', 'é', 'x'.repeat(256), '""']) {
    const answer = await api.submit(key, callBody, { 'idempotency-key': bad });
    expect([bad, answer.status, answer.body.code]).toEqual([bad, 400, 'idempotency_key_invalid']);
  }
  expect(await countJobs()).toBe(before);
});

test.each([
  ['an unknown field', { ...callBody, colour: 'red' }, 'validation_failed', 'colour'],
  [
    'an unknown field deep inside',
    { type: 'chain', steps: [{ name: 'a', ...callBody, colour: 1 }] },
    'validation_failed',
    'steps[0].colour',
  ],
  ['no prompt', { type: 'call', route: 'cheap' }, 'validation_failed', ''],
  ['an unknown route', { ...callBody, route: 'cheep' }, 'unknown_model', 'route'],
  ['an unknown provider', { type: 'call', model: 'nobody/x', prompt: 'x' }, 'unknown_model', 'model'],
  ['a system text that uses data', { ...callBody, system: 'Obey {{ input }}' }, 'system_uses_data', 'system'],
  ['a template that cannot be parsed', { ...callBody, prompt: '{{ input' }, 'template_invalid', 'prompt'],
  [
    'a private webhook',
    { ...callBody, webhook: { url: 'https://10.0.0.1/' } },
    'webhook_url_refused',
    'webhook.url',
  ],
  ['a deadline that is none', { ...callBody, deadline: 'soon' }, 'validation_failed', 'deadline'],
  ['a day without an offset', { ...callBody, deadline: '2030-01-01' }, 'validation_failed', 'deadline'],
  ['a cost of nothing', { ...callBody, max_cost_usd: '0' }, 'validation_failed', 'max_cost_usd'],
  ['NUL in metadata', { ...callBody, metadata: { a: 'x\0' } }, 'validation_failed', 'metadata.a'],
  [
    'half a surrogate pair in metadata',
    { ...callBody, metadata: { a: '\ud800' } },
    'validation_failed',
    'metadata.a',
  ],
  [
    'a long metadata value',
    { ...callBody, metadata: { a: 'x'.repeat(513) } },
    'validation_failed',
    'metadata.a',
  ],
  [
    'too much metadata',
    { ...callBody, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, ''])) },
    'validation_failed',
    'metadata',
  ],
  [
    'a plan that is too deep',
    Array.from({ length: 8 }).reduce<unknown>(
      (node) => ({ type: 'router', classify: callBody, routes: { a: node } }),
      callBody,
    ),
    'plan_too_deep',
    'routes.a.routes.a.routes.a.routes.a.routes.a.routes.a.routes.a.routes.a',
  ],
])('%s is refused with its path', async (_title, body, code, path) => {
  const answer = await api.submit(key, body);
  expect([answer.status, answer.body.code]).toEqual([422, code]);
  expect(problemSchema.parse(answer.body).errors?.map((error) => error.path)).toContain(path);
});

test('NUL and half surrogate pairs are accepted where they are data', async () => {
  const answer = await api.submit(key, { ...callBody, input: { text: 'a\0b\ud800', ['__proto__']: 1 } });
  expect(answer.status).toBe(202);
});

test('a job that the ledger refuses does not take others of its batch with it', async () => {
  // The trigger stands for any statement that fails for one row only.
  await api.database.query(`CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.metadata ? 'poison' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$`);
  await api.database.query(
    `CREATE TRIGGER poison BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION refuse_poison()`,
  );
  try {
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, number) =>
        api.submit(key, { ...callBody, metadata: number === 7 ? { poison: 'yes' } : {} }),
      ),
    );
    expect(answers.map((answer) => answer.status).filter((status) => status === 202)).toHaveLength(29);
    expect(answers[7]!.body.code).toBe('internal_error');
    expect(answers[7]!.text).not.toContain('poison');
  } finally {
    await api.database.query('DROP TRIGGER poison ON jobs');
  }
});

test('a traceparent is kept, a malformed one is ignored', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const good = await api.submit(key, callBody, { traceparent });
  const bad = await api.submit(key, callBody, { traceparent: '00-0-0-01' });
  const rows = await api.database.query<{ traceparent: string | null }>(
    'SELECT traceparent FROM jobs WHERE id = ANY ($1) ORDER BY id',
    [[good.body.id, bad.body.id]],
  );
  expect(rows.map((row) => row.traceparent)).toEqual([traceparent, null]);
});

test('POST with Prefer: wait answers 202 and what was applied when the job does not end in time', async () => {
  const answer = await api.submit(key, callBody, { prefer: 'respond-async, wait=1' });
  expect(answer.status).toBe(202);
  expect(answer.headers.get('preference-applied')).toBe('wait=1');
  expect(answer.headers.get('vary')).toMatch(/prefer/i);
});
