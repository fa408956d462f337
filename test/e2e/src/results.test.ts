import OpenAI from 'openai';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDatabase } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { readEvents, textOfSteps } from './follow-events.ts';
import type { StreamedEvent } from './follow-events.ts';
import { createHttpClient } from './http-client.ts';
import type { JobObject } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';
import { startWebhookReceiver } from './webhook-receiver.ts';
import type { ReceivedWebhook, WebhookReceiver } from './webhook-receiver.ts';

const CUTS = 50;
let seed = 1;
const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;

let stack: TestStack;
let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  stack = await startTestStack({
    workers: 2,
    environment: { MILLRACE_ALLOW_PRIVATE_WEBHOOKS: new URL(receiver.url('/')).host },
  });
});
afterAll(async () => {
  await stack.end();
  await receiver.stop();
});

const call = (name: string, more: Record<string, unknown> = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt: `Answer (${name}) [[sim:reply=answer ${name}]]`,
  max_output_tokens: 20,
  ...more,
});

it(`streams a chain without gap or double to a client that is cut off ${CUTS} times`, async () => {
  const client = createHttpClient(stack);
  const tell = (name: string, tokens: number) => ({
    name,
    ...call(name, { prompt: `Tell about ${name}. [[sim:tokens=${tokens}]][[sim:tps=60]]` }),
    max_output_tokens: 500,
    stream: true,
  });
  const job = await client.submit('cut', {
    type: 'chain',
    steps: [
      tell('rivers', 150),
      // Breaks off half way: the client must be told to drop what it has.
      {
        ...tell('mills', 150),
        prompt: 'Tell about mills. [[sim:fault=truncate;times=1;after=40]][[sim:tokens=150]][[sim:tps=60]]',
      },
      tell('wheels', 150),
    ],
  });
  const followed: StreamedEvent[] = [];
  let cuts = 0;
  for (let isOver = false; !isOver;) {
    const wanted = 1 + Math.floor(random() * 8);
    const { events, cut } = await readEvents(client.send, job.id, followed.at(-1)?.id ?? null, (read) => {
      return read.length >= wanted && read.at(-1)?.type !== 'job.completed';
    });
    followed.push(...events);
    if (cut) cuts += 1;
    isOver = followed.at(-1)?.type === 'job.completed';
  }
  console.log(`${cuts} cuts, ${followed.length} events`);
  expect(cuts).toBeGreaterThanOrEqual(CUTS);
  const ids = followed.map((event) => event.id);
  expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  expect(
    followed.filter((event) => event.type.startsWith('job.') && /completed|failed/.test(event.type)),
  ).toHaveLength(1);
  expect(followed.filter((event) => event.type === 'step.retried')).toHaveLength(1);

  const steps = await client.steps(job.id);
  expect(Object.fromEntries(textOfSteps(followed))).toEqual(
    Object.fromEntries(steps.map((step) => [step.key, step.output])),
  );
  // Whoever comes late sees the same, in one piece; whoever has the end gets nothing more.
  const late = await readEvents(client.send, job.id, null, () => false);
  expect(Object.fromEntries(textOfSteps(late.events))).toEqual(Object.fromEntries(textOfSteps(followed)));
  expect(await readEvents(client.send, job.id, ids.at(-1)!, () => false)).toEqual({ events: [], cut: false });
}, 60_000);

it('delivers webhooks that the standardwebhooks and openai libraries accept, also while a secret is rotated', async () => {
  const client = createHttpClient(stack);
  const created = await client.ask('POST', '/v1/webhook_endpoints', { url: receiver.url('/verified') });
  expect(created.status).toBe(201);
  const { id, secret } = created.body as { id: string; secret: string };

  const job = await client.submit('verified', call('verified', { metadata: { order: '7' } }));
  const [first] = await received('/verified', 1);
  expect(new Webhook(secret).verify(first!.body, first!.headers)).toMatchObject({
    type: 'job.completed',
    data: { id: job.id, status: 'completed', output: 'answer verified', metadata: { order: '7' } },
  });
  const openai = new OpenAI({ apiKey: 'none', webhookSecret: secret });
  const unwrapped = await openai.webhooks.unwrap(first!.body, first!.headers);
  expect(unwrapped).toMatchObject({ object: 'event', type: 'job.completed', data: { id: job.id } });
  expect(() => new Webhook(secret).verify(`${first!.body} `, first!.headers)).toThrow();

  const rotated = await client.ask('POST', `/v1/webhook_endpoints/${id}/rotate_secret`);
  const { secret: next } = rotated.body as { secret: string };
  expect(next).not.toBe(secret);
  // Too much for a body: it is sent thin.
  await client.submit(
    'thin',
    call('thin', { prompt: 'Go on. [[sim:tokens=9000]]', max_output_tokens: 10_000 }),
  );
  const [, second] = await received('/verified', 2);
  for (const each of [secret, next]) {
    expect(new Webhook(each).verify(second!.body, second!.headers)).toMatchObject({ type: 'job.completed' });
    const reader = new OpenAI({ apiKey: 'none', webhookSecret: each });
    expect(await reader.webhooks.unwrap(second!.body, second!.headers)).toMatchObject({
      type: 'job.completed',
    });
  }
  expect(second!.headers['webhook-signature']!.split(' ')).toHaveLength(2);
  expect(Buffer.byteLength(second!.body)).toBeLessThan(20_000);
  expect((await client.ask('DELETE', `/v1/webhook_endpoints/${id}`)).status).toBe(204);
}, 40_000);

it('tries again at a receiver that fails twice, with the same id, and delivers again on request', async () => {
  const client = createHttpClient(stack);
  receiver.answerWith('/failing', 500, 503);
  const request = call('failing', { webhook: { url: receiver.url('/failing'), events: ['job.completed'] } });
  const job = await client.submit('failing', request);
  await received('/failing', 1);
  await waitFor(async () => received('/failing', 2), {
    timeoutMs: 15_000,
    what: 'the second try, after five seconds',
  });

  // The third is due in five minutes: they pass in the ledger, and the reconciler finds it.
  const database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  await waitFor(
    async () =>
      (
        await database.query(
          // A new fence, because the wake that waits for five minutes stands for the present one.
          `UPDATE webhook_deliveries SET not_before = now(), wake_at = now(), fence = fence + 1
           WHERE job_id = $1 AND tries = 2 AND not_before > now() + interval '4 minutes' RETURNING id`,
          [job.id],
        )
      ).length === 1,
    { what: 'the second failure to be on record' },
  );
  await database.close();
  const tries = await received('/failing', 3);
  expect(new Set(tries.map((each) => each.headers['webhook-id'])).size).toBe(1);
  expect(new Set(tries.map((each) => each.body)).size).toBe(1);
  expect(new Set(tries.map((each) => each.headers['webhook-timestamp'])).size).toBeGreaterThan(1);

  const delivery = await waitFor(
    async () => {
      const list = await client.ask('GET', `/v1/webhook_deliveries?job_id=${job.id}`);
      const { data } = list.body as {
        data: { id: string; status: string; tries: { http_status: number }[] }[];
      };
      return data[0]?.status === 'delivered' && data[0];
    },
    { what: 'the delivery to be on record' },
  );
  expect(delivery.tries.map((each) => each.http_status)).toEqual([500, 503, 204]);
  expect((await client.ask('POST', `/v1/webhook_deliveries/${delivery.id}/redeliver`)).status).toBe(202);
  const again = await received('/failing', 4);
  expect(again[3]!.headers['webhook-id']).toBe(tries[0]!.headers['webhook-id']);
}, 60_000);

it('waits for the end as long as Prefer says, and no longer', async () => {
  const client = createHttpClient(stack);
  const patient = await client.ask('POST', '/v1/jobs', call('patient'), {
    'idempotency-key': 'patient',
    prefer: 'wait=8',
  });
  expect(patient).toMatchObject({ status: 200, body: { status: 'completed', output: 'answer patient' } });
  expect(patient.headers.get('preference-applied')).toBe('wait=8');
  expect(patient.tookMs).toBeLessThan(4_000);

  const slow = call('slow', { prompt: 'Slowly. [[sim:latency=15000]][[sim:reply=at last]]' });
  const impatient = await client.ask('POST', '/v1/jobs', slow, {
    'idempotency-key': 'slow',
    prefer: 'wait=1',
  });
  expect(impatient.status).toBe(202);
  expect(impatient.headers.get('retry-after')).toMatch(/^\d+$/);
  expect(impatient.tookMs).toBeGreaterThan(900);
  expect(impatient.tookMs).toBeLessThan(3_000);
  const { id } = impatient.body as JobObject;
  expect(impatient.headers.get('location')).toBe(`/v1/jobs/${id}`);
  const polled = await client.send(`/v1/jobs/${id}`, {
    headers: { prefer: 'respond-async, wait=25' },
    signal: AbortSignal.timeout(30_000),
  });
  expect(polled.status).toBe(200);
  expect(await polled.json()).toMatchObject({ status: 'completed', output: 'at last' });
  const [provided] = simulatedProvider(stack).callsOf(id);
  const visibleMs = Date.now() - Date.parse(provided!.end!.at);
  console.log(
    `the answer reached a waiting client at most ${visibleMs} ms after the provider had written it`,
  );
}, 60_000);

async function received(path: string, count: number): Promise<ReceivedWebhook[]> {
  return waitFor(
    () => {
      const found = receiver.received.filter((each) => each.path === path);
      return found.length >= count && found;
    },
    { timeoutMs: 15_000, what: `${count} webhooks on ${path}` },
  );
}
