import { sseEventSchema, toSequenceNumber } from '@millrace/contracts';
import { createTestRedis, waitFor, withTimeout } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FollowedEvent } from './follow-job.ts';
import { otherTenantId, setUpResults } from './testing/results-setup.ts';
import type { ResultsSetup } from './testing/results-setup.ts';
import { acceptScriptedJob, runRandomly, seededRandom } from './testing/scripted-job.ts';
import type { ScriptedJob } from './testing/scripted-job.ts';
import { openSse } from './testing/sse-client.ts';
import type { ReceivedEvent } from './testing/sse-client.ts';

const testRedis = createTestRedis();
let setup: ResultsSetup;
let url: string;

beforeAll(async () => {
  setup = await setUpResults({ redisUrl: testRedis.url, prefix: testRedis.prefix });
  ({ url } = await setup.serve());
});

afterAll(async () => {
  await setup.stop();
  await testRedis.flush();
});

const eventsOf = (jobId: string): string => `${url}/v1/jobs/${jobId}/events`;

test('over 1,000 cuts at random places no client has a gap, a double or more than one end', async () => {
  const random = seededRandom(11);
  let cuts = 0;
  const readWithCuts = async (job: ScriptedJob): Promise<ReceivedEvent[]> => {
    const received: ReceivedEvent[] = [];
    for (;;) {
      const last = received.at(-1)?.id;
      let left = 1 + Math.floor(random() * 9);
      const connection = await openSse(eventsOf(job.id), {
        headers: last === undefined ? {} : { 'Last-Event-ID': last },
        onEvent: (event, open) => {
          received.push(event);
          left -= 1;
          if (left <= 0) open.cut();
        },
      });
      if (connection.status === 204) return received;
      if (await connection.ended) continue;
      cuts += 1;
    }
  };
  const jobs = await Promise.all([acceptScriptedJob(setup.database), acceptScriptedJob(setup.database)]);
  const reading = jobs.map((job) => Promise.all(Array.from({ length: 10 }, () => readWithCuts(job))));
  const options = { random: seededRandom(12), stepsEach: 4, deltasEach: 30, pauseMs: 8 };
  await Promise.all(jobs.map((job) => runRandomly(job, setup.publishers, options)));
  for (const [index, job] of jobs.entries()) {
    const expected = (await job.record()).map((each) => onTheWire(job.id, each));
    for (const received of await withTimeout(reading[index]!, 60_000, 'all clients')) {
      expect(received).toEqual(expected);
      expect(received.filter(({ event }) => event === 'job.completed')).toHaveLength(1);
    }
  }
  expect(cuts).toBeGreaterThan(1_000);
}, 120_000);

test('the answer is an event stream that nothing on the way holds back, and every event fits the schema', async () => {
  const job = await acceptScriptedJob(setup.database);
  const connection = await openSse(eventsOf(job.id));
  expect(connection.status).toBe(200);
  expect(connection.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  const options = { random: seededRandom(13), stepsEach: 1, deltasEach: 3, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  expect(await withTimeout(connection.ended, 5_000, 'the end')).toBe(true);
  expect(Number(connection.retry)).toBeGreaterThanOrEqual(500);
  for (const { id, event, data } of connection.events) {
    const parsed = sseEventSchema.parse(data);
    expect({ id, event }).toEqual({ id: String(parsed.sequence_number), event: parsed.type });
    expect(parsed.job_id).toBe(job.id);
  }
});

test('a client may name its place in the query; the header, which a browser adds when it comes back, counts before it', async () => {
  const job = await finishedJob();
  const record = await job.record();
  const idOf = (index: number): number => toSequenceNumber(record[index]!.position);
  const byQuery = await openSse(`${eventsOf(job.id)}?starting_after=${idOf(2)}`);
  await byQuery.ended;
  expect(byQuery.events[0]!.id).toBe(String(idOf(3)));
  const byBoth = await openSse(`${eventsOf(job.id)}?starting_after=${idOf(2)}`, {
    headers: { 'Last-Event-ID': String(idOf(4)) },
  });
  await byBoth.ended;
  expect(byBoth.events[0]!.id).toBe(String(idOf(5)));
});

test('a client that has the terminal event is told not to come back', async () => {
  const job = await finishedJob();
  const last = toSequenceNumber((await job.record()).at(-1)!.position);
  const connection = await openSse(eventsOf(job.id), { headers: { 'Last-Event-ID': String(last) } });
  expect(connection.status).toBe(204);
});

test.each([
  ['a word', { 'Last-Event-ID': 'abc' }, '', 400, 'invalid_header'],
  ['a place that the job does not have yet', { 'Last-Event-ID': '99000000000' }, '', 400, 'invalid_header'],
  ['more digits than a number holds', {}, '?starting_after=9999999999999999', 422, 'validation_failed'],
  ['a negative number', {}, '?starting_after=-1', 422, 'validation_failed'],
  ['a parameter that is not known', {}, '?startng_after=1', 422, 'validation_failed'],
  ['two places', {}, '?starting_after=1&starting_after=2', 422, 'validation_failed'],
])('a client that names %s gets a problem document', async (_what, headers, query, status, code) => {
  const job = await acceptScriptedJob(setup.database);
  const connection = await openSse(eventsOf(job.id) + query, { headers });
  await connection.ended;
  expect(connection.status).toBe(status);
  expect(JSON.parse(connection.body())).toMatchObject({ code });
});

test('an unknown job and another tenant’s answer alike', async () => {
  const job = await acceptScriptedJob(setup.database);
  const ids = [job.id, 'job_00000000000000000000000000', 'nonsense'];
  const answers = [];
  for (const id of ids) {
    const connection = await openSse(eventsOf(id), { headers: { tenant: otherTenantId } });
    await connection.ended;
    answers.push([connection.status, connection.body()]);
  }
  expect(answers).toEqual(Array(3).fill([404, '{"code":"not_found","errors":[]}']));
});

test('a quiet stream shows that it lives', async () => {
  const { url: ownUrl } = await setup.serve({ heartbeatMs: 20 });
  const job = await acceptScriptedJob(setup.database);
  const connection = await openSse(`${ownUrl}/v1/jobs/${job.id}/events`);
  await waitFor(() => connection.comments.length >= 3, { what: 'three heartbeats' });
  expect(connection.events).toHaveLength(1);
  connection.cut();
});

test('a client that does not read is not written to without end, and gets everything when it reads again', async () => {
  const served = await setup.serve();
  const job = await acceptScriptedJob(setup.database);
  const connection = await openSse(`${served.url}/v1/jobs/${job.id}/events`);
  await waitFor(() => connection.events.length === 1, { what: 'the first event' });
  connection.pause();
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  const piece = 'x'.repeat(64 * 1024);
  // More than the sockets' own buffers take (they grow to some megabytes) and more than the mailbox holds.
  for (let index = 0; index < 700; index += 1) await attempt.say(`${index} ${piece}`);
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  expect(served.bufferedBytes()).toBeGreaterThan(0);
  expect(served.bufferedBytes()).toBeLessThan(4 * piece.length);
  connection.resume();
  expect(await withTimeout(connection.ended, 20_000, 'the end')).toBe(true);
  const expected = (await job.record()).map((each) => onTheWire(job.id, each));
  expect(connection.events.length).toBe(expected.length);
  expect(connection.events).toEqual(expected);
}, 60_000);

test('a client that takes nothing for too long is cut off', async () => {
  const { url: ownUrl } = await setup.serve({ stallMs: 100 });
  const job = await acceptScriptedJob(setup.database);
  const connection = await openSse(`${ownUrl}/v1/jobs/${job.id}/events`);
  await waitFor(() => connection.events.length === 1, { what: 'the first event' });
  const before = await readWatchers('stream');
  connection.pause();
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  const piece = 'x'.repeat(256 * 1024);
  for (let index = 0; index < 60; index += 1) await attempt.say(piece);
  await waitFor(async () => (await readWatchers('stream')) === before - 1, {
    what: 'the stream to be given up',
  });
  connection.resume();
  expect(await withTimeout(connection.ended, 10_000, 'the connection to close')).toBe(false);
});

test('clients who leave leave no watcher, no subscription and no number behind', async () => {
  const job = await acceptScriptedJob(setup.database);
  await waitFor(async () => (await readWatchers('stream')) === 0, { what: 'earlier streams to end' });
  const connections = await Promise.all(Array.from({ length: 20 }, () => openSse(eventsOf(job.id))));
  await waitFor(async () => (await readWatchers('stream')) === 20, { what: '20 streams' });
  expect(await countSubscribers(job.id)).toBe(1);
  for (const connection of connections) connection.cut();
  await waitFor(async () => (await readWatchers('stream')) === 0, { what: 'all streams to end' });
  await waitFor(async () => (await countSubscribers(job.id)) === 0, { what: 'the channel to be given up' });
});

test('stopping ends all streams properly, and their clients resume elsewhere without loss', async () => {
  const { url: ownUrl, streamEvents } = await setup.serve();
  const job = await acceptScriptedJob(setup.database);
  await job.start(['a'], setup.publishers[0]);
  const attempt = await job.send('a', setup.publishers[0]);
  const connection = await openSse(`${ownUrl}/v1/jobs/${job.id}/events`);
  await attempt.say('one');
  await waitFor(() => connection.events.length === 4, { what: 'four events' });
  await withTimeout(streamEvents.stop(), 1_000, 'the streams to stop');
  expect(await withTimeout(connection.ended, 1_000, 'the stream to end')).toBe(true);
  const refused = await openSse(`${ownUrl}/v1/jobs/${job.id}/events`);
  expect(refused.status).toBe(503);
  await attempt.say('two');
  await attempt.complete();
  await job.finish(setup.publishers[0]);
  const last = connection.events.at(-1)!.id;
  const elsewhere = await openSse(eventsOf(job.id), { headers: { 'Last-Event-ID': last } });
  await withTimeout(elsewhere.ended, 5_000, 'the end');
  const expected = (await job.record()).map((each) => onTheWire(job.id, each));
  expect([...connection.events, ...elsewhere.events]).toEqual(expected);
});

test('an answer that the server itself ends ends the following too', async () => {
  const served = await setup.serve();
  const job = await acceptScriptedJob(setup.database);
  const before = await readWatchers('stream');
  const connection = await openSse(`${served.url}/v1/jobs/${job.id}/events`);
  await waitFor(() => connection.events.length === 1, { what: 'the first event' });
  served.endAnswers();
  expect(await withTimeout(connection.ended, 1_000, 'the stream to end')).toBe(true);
  await waitFor(async () => (await readWatchers('stream')) === before, { what: 'the following to end' });
});

async function finishedJob(): Promise<ScriptedJob> {
  const job = await acceptScriptedJob(setup.database);
  const options = { random: seededRandom(14), stepsEach: 1, deltasEach: 3, pauseMs: 0 };
  await runRandomly(job, setup.publishers, options);
  return job;
}

/** What api.md promises of an event, written without the product's formatter. */
function onTheWire(jobId: string, { position, ...followed }: FollowedEvent): ReceivedEvent {
  const id = position.sequence * 1_000_000_000 + position.delta;
  const common = { sequence_number: id, job_id: jobId };
  if (followed.kind === 'delta') {
    const data = { type: 'step.delta', ...common, ...followed.delta };
    return { id: String(id), event: 'step.delta', data };
  }
  const { type, at, data } = followed.event;
  return { id: String(id), event: type, data: { type, ...common, at: new Date(at).toISOString(), ...data } };
}

async function readWatchers(kind: string): Promise<number> {
  const { values } = await setup.metrics.watchers.get();
  return values.find(({ labels }) => labels.kind === kind)?.value ?? 0;
}

async function countSubscribers(jobId: string): Promise<number> {
  const channel = `${testRedis.prefix}:events:${jobId}`;
  const [, count] = (await setup.redis.call('PUBSUB', 'NUMSUB', channel)) as [string, number];
  return count;
}
