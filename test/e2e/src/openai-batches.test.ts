import { randomUUID } from 'node:crypto';
import { OpenAI, toFile } from 'openai';
import type { Batch } from 'openai/resources/batches';
import type { ChatCompletion } from 'openai/resources/chat/completions';
import type { Response } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { openCrashOrders } from './crash-orders.ts';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';
import { startWebhookReceiver } from './webhook-receiver.ts';
import type { WebhookReceiver } from './webhook-receiver.ts';

const orders = openCrashOrders();
let stack: TestStack;
let database: Database;
let receiver: WebhookReceiver;
let client: OpenAI;
let webhookSecret: string;
beforeAll(async () => {
  receiver = await startWebhookReceiver();
  stack = await startTestStack({
    environment: {
      ...orders.environment,
      MILLRACE_ALLOW_PRIVATE_WEBHOOKS: new URL(receiver.url('/')).host,
    },
  });
  database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    applicationName: 'e2e',
  });
  client = new OpenAI({ baseURL: `${stack.apiUrl}/v1`, apiKey: stack.bootstrapKey });
  const answer = await fetch(`${stack.apiUrl}/v1/webhook_endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.bootstrapKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      url: receiver.url('/batches'),
      events: ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'],
    }),
  });
  webhookSecret = ((await answer.json()) as { secret: string }).secret;
});
afterAll(async () => {
  await database.close();
  await stack.end();
  await receiver.stop();
  orders.remove();
});

type Endpoint = '/v1/chat/completions' | '/v1/responses';
interface ResultLine {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: unknown } | null;
  error: { code: string; message: string } | null;
}

const chat = (customId: string, prompt: string, body: object = {}) => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    model: 'cheap',
    max_completion_tokens: 100,
    messages: [{ role: 'user', content: prompt }],
    ...body,
  },
});

const completionOf = (lines: Map<string, ResultLine>, id: string): ChatCompletion =>
  lines.get(id)!.response!.body as ChatCompletion;

async function start(
  lines: readonly (object | string)[],
  options: { endpoint?: Endpoint; window?: string } = {},
): Promise<Batch> {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
  const input = await client.files.create({
    file: await toFile(Buffer.from(text), 'input.jsonl'),
    purpose: 'batch',
  });
  return client.batches.create({
    input_file_id: input.id,
    endpoint: options.endpoint ?? '/v1/chat/completions',
    // A short one keeps the lines out of the vendors' batches, whose time is not ours.
    completion_window: (options.window ?? '15m') as '24h',
    metadata: { test: 'yes' },
  });
}

/** The window and the jobs' deadlines, which are its end, are over now: what is answered before is for the test to say. */
async function endWindow(id: string): Promise<void> {
  await database.query(
    `WITH batch AS (UPDATE client_batches SET expires_at = now() WHERE id = $1)
     UPDATE jobs SET deadline_at = now(), wake_at = now(), wake_count = 0 WHERE finished_at IS NULL AND idempotency_key LIKE $2`,
    [id, `${id}/%`],
  );
}

const isOver = (batch: Batch): boolean =>
  ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);

async function ended(id: string, timeoutMs = 30_000): Promise<Batch> {
  let batch = await client.batches.retrieve(id);
  await waitFor(async () => isOver((batch = await client.batches.retrieve(id))), {
    timeoutMs,
    intervalMs: 100,
    what: () => `the batch to end; it is ${JSON.stringify(batch)}\n${stack.logs()}`,
  });
  return batch;
}

async function linesOf(fileId: string | null | undefined): Promise<Map<string, ResultLine>> {
  if (!fileId) return new Map();
  const text = await (await client.files.content(fileId)).text();
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ResultLine);
  const byId = new Map(lines.map((line) => [line.custom_id, line]));
  expect(byId.size).toBe(lines.length);
  return byId;
}

describe('a batch through the official SDK', () => {
  it('runs chat completions on a route, a target of another vendor and a bare model name', async () => {
    const batch = await start([
      chat('route', 'Say hello. [[sim:reply=from the route]]'),
      chat('anthropic', 'Say hello. [[sim:reply=from anthropic]]', { model: 'anthropic/claude-haiku-5-5' }),
      chat('bare', 'Say hello. [[sim:reply=from a bare name]]', { model: 'gpt-6-luna' }),
      chat('system', 'Say {{ hello }} and {% raw %}. [[sim:reply=literally]]', {
        messages: [
          { role: 'developer', content: 'Be {{ brief }}.' },
          {
            role: 'user',
            content: [{ type: 'text', text: 'Say {{ hello }} and {% raw %}. [[sim:reply=literally]]' }],
          },
        ],
      }),
      chat('schema', 'Classify. [[sim:reply={"label":"bug"}]]', {
        response_format: {
          type: 'json_schema',
          json_schema: {
            name: 'label',
            strict: true,
            schema: {
              type: 'object',
              properties: { label: { type: 'string' } },
              required: ['label'],
              additionalProperties: false,
            },
          },
        },
      }),
      chat('cut', 'Tell much. [[sim:tokens=50]]', { max_completion_tokens: 7 }),
    ]);
    expect(batch.status).toBe('validating');
    const done = await ended(batch.id);
    expect(done).toMatchObject({
      status: 'completed',
      request_counts: { total: 6, completed: 6, failed: 0 },
      errors: null,
      metadata: { test: 'yes' },
    });
    expect(done.error_file_id).toBeNull();
    for (const at of [done.in_progress_at, done.finalizing_at, done.completed_at])
      expect(at).toBeGreaterThan(0);

    const lines = await linesOf(done.output_file_id);
    const contentOf = (id: string): string | null => completionOf(lines, id).choices[0]!.message.content;
    expect(contentOf('route')).toBe('from the route');
    expect(contentOf('anthropic')).toBe('from anthropic');
    expect(contentOf('bare')).toBe('from a bare name');
    expect(contentOf('system')).toBe('literally');
    expect(JSON.parse(String(contentOf('schema')))).toEqual({ label: 'bug' });
    expect(lines.get('anthropic')!.response!.body).toMatchObject({
      object: 'chat.completion',
      model: 'claude-haiku-5-5',
    });
    expect(completionOf(lines, 'cut').choices[0]!.finish_reason).toBe('length');
    expect(lines.get('route')!.response!.status_code).toBe(200);

    const usages = [...lines.keys()].map((id) => completionOf(lines, id).usage!);
    const sum = (name: 'prompt_tokens' | 'completion_tokens' | 'total_tokens'): number =>
      usages.reduce((total, usage) => total + usage[name], 0);
    expect(done.usage).toMatchObject({
      input_tokens: sum('prompt_tokens'),
      output_tokens: sum('completion_tokens'),
      total_tokens: sum('total_tokens'),
    });
    const output = await client.files.retrieve(done.output_file_id!);
    expect(output).toMatchObject({ purpose: 'batch_output', filename: `${batch.id}_output.jsonl` });

    // The texts arrived as they were, and each line was called once.
    const provider = simulatedProvider(stack);
    const jobs = [...lines.values()].map((line) => line.response!.request_id);
    expect(jobs.flatMap((job) => provider.callsOf(job))).toHaveLength(6);
    const job = await createHttpClient(stack).get(jobs[0]!);
    expect(job).toMatchObject({ type: 'call', lane: 'auto', metadata: { batch_id: batch.id } });
  });

  it('asks for the temperature and the top_p of a line, and tells who refuses them', async () => {
    const batch = await start([
      chat('taken', 'Say hello. [[sim:reply=cold]]', {
        model: 'openai/gpt-4.1-mini',
        temperature: 0,
        top_p: 0.5,
      }),
      chat('usual', 'Say hello. [[sim:reply=usual]]', { temperature: 1, top_p: 1 }),
      // A model that reasons: the provider's own refusal is the line's.
      chat('refused', 'Say hello.', { model: 'openai/gpt-6-luna', temperature: 0 }),
    ]);
    const done = await ended(batch.id);
    expect(done.request_counts).toEqual({ total: 3, completed: 2, failed: 1 });
    const lines = await linesOf(done.output_file_id);
    expect(completionOf(lines, 'taken').choices[0]!.message.content).toBe('cold');
    expect(completionOf(lines, 'usual').choices[0]!.message.content).toBe('usual');
    const refused = (await linesOf(done.error_file_id)).get('refused')!;
    expect(refused.response).toMatchObject({
      status_code: 400,
      body: { error: { type: 'invalid_request_error' } },
    });

    const failed = await ended(
      (await start([chat('x', 'x', { model: 'anthropic/claude-haiku-5-5', temperature: 0 })])).id,
    );
    expect(failed.errors!.data).toMatchObject([
      { line: 1, code: 'invalid_value', param: 'body.temperature' },
    ]);
  });

  it('runs responses', async () => {
    const batch = await start(
      [
        {
          custom_id: 'a',
          method: 'POST',
          url: '/v1/responses',
          body: {
            model: 'openai/gpt-6-luna',
            instructions: 'Be brief.',
            input: 'Say hi. [[sim:reply=hi there]]',
          },
        },
        {
          custom_id: 'b',
          method: 'POST',
          url: '/v1/responses',
          body: {
            model: 'openai/gpt-6-luna',
            input: [
              { role: 'user', content: [{ type: 'input_text', text: 'Remember 7.' }] },
              {
                type: 'message',
                id: 'msg_1',
                status: 'completed',
                role: 'assistant',
                content: [{ type: 'output_text', text: 'Yes.', annotations: [] }],
              },
              { role: 'user', content: 'Which? [[sim:reply=seven]]' },
            ],
          },
        },
      ],
      { endpoint: '/v1/responses' },
    );
    const done = await ended(batch.id);
    expect(done).toMatchObject({ status: 'completed', model: 'openai/gpt-6-luna' });
    const lines = await linesOf(done.output_file_id);
    const textOf = (id: string): string => {
      const [item] = (lines.get(id)!.response!.body as Response).output;
      const [part] = item?.type === 'message' ? item.content : [];
      return part?.type === 'output_text' ? part.text : '';
    };
    expect([textOf('a'), textOf('b')]).toEqual(['hi there', 'seven']);
    expect(lines.get('a')!.response!.body).toMatchObject({
      object: 'response',
      status: 'completed',
      model: 'gpt-6-luna',
    });
  });

  it('puts lines that fail into the error file, and them alone', async () => {
    const batch = await start([
      chat('good', 'Say hello. [[sim:reply=fine]]'),
      chat('bad', 'Be wrong. [[sim:fault=bad_request]]', { model: 'openai/gpt-6-luna' }),
    ]);
    const done = await ended(batch.id);
    expect(done).toMatchObject({
      status: 'completed',
      request_counts: { total: 2, completed: 1, failed: 1 },
    });
    expect([...(await linesOf(done.output_file_id)).keys()]).toEqual(['good']);
    const bad = (await linesOf(done.error_file_id)).get('bad')!;
    expect(bad.error).toBeNull();
    expect(bad.response).toMatchObject({
      status_code: 400,
      body: { error: { type: 'invalid_request_error' } },
    });
  });

  it('fails in validation with the line, the code and the parameter of everything that is wrong', async () => {
    const batch = await start([
      chat('fine', 'Say hello.'),
      '{"custom_id":',
      chat('fine', 'Again.'),
      { ...chat('get', 'x'), method: 'GET' },
      { ...chat('url', 'x'), url: '/v1/responses' },
      chat('model', 'x', { model: 'gpt-0-nothing' }),
      chat('tools', 'x', { tools: [{ type: 'function', function: { name: 'f' } }] }),
      chat('n', 'x', { n: 2 }),
      chat('stream', 'x', { stream: true }),
      chat('image', 'x', {
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://x' } }] }],
      }),
      chat('cap', 'x', { max_completion_tokens: 10_000_000 }),
      chat('schema', 'x', {
        response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'nonsense' } } },
      }),
      { custom_id: 'no body', method: 'POST', url: '/v1/chat/completions' },
    ]);
    const failed = await ended(batch.id);
    expect(failed.status).toBe('failed');
    expect(failed.failed_at).toBeGreaterThan(0);
    expect(failed.errors!.data!.map(({ line, code, param }) => [line, code, param])).toEqual([
      [2, 'invalid_json_line', null],
      [3, 'duplicate_custom_id', 'custom_id'],
      [4, 'invalid_method', 'method'],
      [5, 'mismatched_url', 'url'],
      [6, 'model_not_found', 'body.model'],
      [7, 'unsupported_parameter', 'body.tools'],
      [8, 'unsupported_parameter', 'body.n'],
      [9, 'unsupported_parameter', 'body.stream'],
      [10, 'unsupported_parameter', 'body.messages[0].content[0].type'],
      [11, 'invalid_value', 'body.max_completion_tokens'],
      [12, 'invalid_value', 'body.response_format.json_schema.schema.type'],
      [13, 'missing_required_parameter', 'body'],
    ]);
    for (const { message } of failed.errors!.data!) expect(message).not.toMatch(/undefined/);
    const jobs = await createHttpClient(stack).send(`/v1/jobs?metadata[batch_id]=${batch.id}`);
    expect(await jobs.json()).toMatchObject({ data: [] });
  });

  it('fails moderations as a whole, and an empty file', async () => {
    const moderations = await start([chat('x', 'x')], { endpoint: '/v1/moderations' as never });
    expect((await ended(moderations.id)).errors!.data).toMatchObject([
      { code: 'unsupported_endpoint', line: null, param: 'endpoint' },
    ]);
    const empty = await start(['\n\n']);
    expect((await ended(empty.id)).errors!.data).toMatchObject([{ code: 'empty_file' }]);
  });

  it('can be cancelled, keeps what was answered, and counts while it runs', async () => {
    const slow = Array.from({ length: 10 }, (_each, at) => chat(`slow ${at}`, 'Wait. [[sim:latency=60000]]'));
    const batch = await start([chat('quick', 'Say hello. [[sim:reply=quick]]'), ...slow]);
    await waitFor(
      async () => {
        const { request_counts: counts } = await client.batches.retrieve(batch.id);
        return counts?.completed === 1 && counts.total === 11;
      },
      { timeoutMs: 20_000, what: () => 'the quick line to be counted' },
    );
    expect((await client.batches.cancel(batch.id)).status).toBe('cancelling');
    const done = await ended(batch.id);
    expect(done).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 11, completed: 1, failed: 0 },
    });
    expect(done.cancelled_at).toBeGreaterThan(0);
    expect([...(await linesOf(done.output_file_id)).keys()]).toEqual(['quick']);
    const errors = await linesOf(done.error_file_id);
    expect(errors.size).toBe(10);
    expect(errors.get('slow 3')).toMatchObject({ response: null, error: { code: 'batch_cancelled' } });
  });

  it('expires when its window is over, with what there is', async () => {
    const batch = await start([
      chat('quick', 'Say hello. [[sim:reply=quick]]'),
      chat('slow', 'Wait. [[sim:latency=60000]]', { model: 'openai/gpt-6-luna' }),
    ]);
    await waitFor(async () => (await client.batches.retrieve(batch.id)).request_counts?.completed === 1, {
      timeoutMs: 20_000,
      what: 'the quick line to be counted',
    });
    await endWindow(batch.id);
    const done = await ended(batch.id);
    expect(done).toMatchObject({ status: 'expired', request_counts: { total: 2, completed: 1, failed: 1 } });
    expect(done.expired_at).toBeGreaterThanOrEqual(done.expires_at!);
    expect([...(await linesOf(done.output_file_id)).keys()]).toEqual(['quick']);
    expect((await linesOf(done.error_file_id)).get('slow')).toMatchObject({
      response: null,
      error: { code: 'batch_expired' },
    });
  }, 60_000);

  it('tells its end to webhook endpoints in the form that the SDK unwraps', async () => {
    const completed = await start([chat('a', 'Say hello.')]);
    const failed = await start(['nonsense']);
    const slow = [chat('slow', 'Wait. [[sim:latency=60000]]', { model: 'openai/gpt-6-luna' })];
    const expired = await start(slow, { window: '3s' });
    const cancelled = await start(slow);
    await client.batches.cancel(cancelled.id);
    await Promise.all([completed, failed, expired, cancelled].map(({ id }) => ended(id)));
    const eventOf = async (id: string): Promise<unknown> => {
      const find = () => receiver.received.find((each) => each.body.includes(id));
      await waitFor(() => find() !== undefined, { timeoutMs: 15_000, what: () => `the webhook of ${id}` });
      const { body, headers } = find()!;
      return client.webhooks.unwrap(body, headers, webhookSecret);
    };
    expect(await eventOf(completed.id)).toMatchObject({
      object: 'event',
      type: 'batch.completed',
      data: { id: completed.id },
    });
    expect(await eventOf(failed.id)).toMatchObject({ type: 'batch.failed', data: { id: failed.id } });
    expect(await eventOf(expired.id)).toMatchObject({ type: 'batch.expired', data: { id: expired.id } });
    expect(await eventOf(cancelled.id)).toMatchObject({
      type: 'batch.cancelled',
      data: { id: cancelled.id },
    });
  });
});

it('neither loses nor doubles a line when the scheduler is killed while 3,000 lines become jobs', async () => {
  const run = randomUUID();
  const count = 3_000;
  const lines = Array.from({ length: count }, (_each, at) =>
    chat(`${run} ${at}`, `Line ${at}. [[sim:reply=${at}]]`),
  );
  const expanded = async (id: string): Promise<number> => {
    const [row] = await database.query<{ count: number }>(
      'SELECT expanded_lines AS count FROM client_batches WHERE id = $1',
      [id],
    );
    return row!.count;
  };
  // The jobs of the third chunk are there and not noted. While it stands still nobody goes on, however late this process sees it.
  orders.halt('client-batch.jobs-accepted', 3);
  const batch = await start(lines);
  for (const least of [200, 1_200]) {
    await waitFor(() => orders.hasLanded(), {
      timeoutMs: 60_000,
      what: () => `${least} lines to be jobs\n${stack.logs()}`,
    });
    const reached = await expanded(batch.id);
    expect(reached).toBeGreaterThanOrEqual(least);
    // A strike after the last line would prove nothing.
    expect(reached).toBeLessThan(count - 250);
    if (least === 200) orders.halt('client-batch.jobs-accepted', 13);
    stack.strike('scheduler', 'SIGKILL');
  }
  const done = await ended(batch.id, 120_000);
  expect(done).toMatchObject({
    status: 'completed',
    request_counts: { total: count, completed: count, failed: 0 },
  });
  const results = await linesOf(done.output_file_id);
  expect(results.size).toBe(count);
  for (let at = 0; at < count; at += 1) {
    expect(completionOf(results, `${run} ${at}`).choices[0]!.message.content).toBe(String(at));
  }
  const jobs = await database.query('SELECT FROM jobs WHERE idempotency_key LIKE $1', [`${batch.id}/%`]);
  expect(jobs).toHaveLength(count);
}, 180_000);
