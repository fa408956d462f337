import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { appendLine } from './jsonl.ts';
import type { ClientEntry, Expectation } from './journals.ts';
import { followStream } from './follow-stream.ts';
import { runClientBatch } from './run-client-batch.ts';

/*
 * The client as a process of its own: it does what it is told over IPC and journals what it meant to do, did and saw.
 * Usage: fork(client-process.ts, [journal, apiUrl, key, otherTenantsKey]). It ends when its parent goes.
 */

/** What the client is told to do; `order` comes back with the result. */
export type ClientOrder = { order: number; run: string } & (
  | { do: 'submit'; key: string; request: Record<string, unknown>; expect: Expectation; patienceMs: number }
  | { do: 'follow'; jobId: string; cutEvery: number | null; seed: number; patienceMs: number }
  | {
      do: 'batch';
      endpoint: string;
      lines: readonly { key: string; line: string; expect: Expectation }[];
      patienceMs: number;
    }
  | { do: 'look'; jobId: string }
  | { do: 'cancel'; jobId: string }
  | { do: 'probe'; jobId: string }
);

export interface ClientReply {
  order: number;
  /** The job's id after `submit`, `ended` after `follow`; null when patience ran out. */
  result: string | null;
}

const [journal = '', apiUrl = '', apiKey = '', otherKey = ''] = process.argv.slice(2);
const ANSWER_WITHIN_MS = 5_000;
const RETRY_AFTER_MS = 300;

process.on('disconnect', () => process.exit(0));
process.on('message', (order: ClientOrder) => {
  void perform(order)
    // What could not be done is missing in the journal; the next order is done all the same.
    .catch(() => null)
    .then((result) => process.send?.({ order: order.order, result } satisfies ClientReply));
});

async function perform(order: ClientOrder): Promise<string | null> {
  switch (order.do) {
    case 'submit':
      return submit(order);
    case 'follow':
      return followStream({ ...order, apiUrl, headers: { authorization: `Bearer ${apiKey}` } }, (entry) =>
        note(entry),
      );
    case 'batch':
      return batch(order);
    case 'look':
      return look(order.run, order.jobId);
    case 'cancel':
      await ask('POST', `/v1/jobs/${order.jobId}/cancel`, apiKey).catch(() => null);
      return look(order.run, order.jobId);
    case 'probe':
      return probe(order.run, order.jobId);
  }
}

/** Repeats with the same key until there is an answer, as a careful service does, and notes when it gives up. */
async function submit(order: ClientOrder & { do: 'submit' }): Promise<string | null> {
  const { run, key, expect } = order;
  const body = JSON.stringify(order.request);
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const deadlineAt = performance.now() + order.patienceMs;
  const giveUp = (tries: number, last: string): null => {
    note({ kind: 'gave-up', at: now(), run, key, tries, last });
    return null;
  };
  let last = 'nothing was sent';
  let number = 1;
  for (; performance.now() < deadlineAt; number += 1) {
    const base = { run, key, try: number };
    note({ kind: 'invoke', at: now(), ...base, expect, bodySha256 });
    try {
      const response = await ask('POST', '/v1/jobs', apiKey, body, { 'idempotency-key': key });
      const answer = (await response.json().catch(() => null)) as { id?: string; code?: string } | null;
      const { status } = response;
      if ((status === 200 || status === 202) && typeof answer?.id === 'string') {
        const replayed = response.headers.get('idempotent-replayed') === 'true';
        note({ kind: 'ok', at: now(), ...base, status, jobId: answer.id, replayed });
        return answer.id;
      }
      const again = status >= 500 || status === 429 || status === 409;
      if (status >= 500) note({ kind: 'unknown', at: now(), ...base, why: `status ${status}` });
      else note({ kind: 'fail', at: now(), ...base, status, code: answer?.code ?? null });
      last = `status ${status}${typeof answer?.code === 'string' ? ` ${answer.code}` : ''}`;
      if (!again) return giveUp(number, last);
    } catch (error) {
      last = describe(error);
      note({ kind: 'unknown', at: now(), ...base, why: last });
    }
    await pause(RETRY_AFTER_MS);
  }
  return giveUp(number - 1, last);
}

/** The lines are the submissions; nobody but the batch's results acknowledges them. */
async function batch(order: ClientOrder & { do: 'batch' }): Promise<string | null> {
  const { run } = order;
  for (const { key, line, expect } of order.lines) {
    const bodySha256 = createHash('sha256').update(line).digest('hex');
    note({ kind: 'invoke', at: now(), run, key, try: 1, expect, bodySha256 });
  }
  return runClientBatch(order, (method, path, body) => ask(method, path, apiKey, body), note);
}

async function look(run: string, jobId: string): Promise<string | null> {
  const response = await ask('GET', `/v1/jobs/${jobId}`, apiKey).catch(() => null);
  if (response?.status !== 200) return null;
  const job = (await response.json()) as { status: string; output: unknown };
  note({ kind: 'seen', at: now(), run, jobId, status: job.status, output: job.output });
  return job.status;
}

/** Everything that another tenant could ask about a job must be answered as for a job that does not exist. */
async function probe(run: string, jobId: string): Promise<string | null> {
  const requests: [string, string][] = [
    ['GET', `/v1/jobs/${jobId}`],
    ['GET', `/v1/jobs/${jobId}/steps`],
    ['GET', `/v1/jobs/${jobId}/events`],
    ['POST', `/v1/jobs/${jobId}/cancel`],
    ['DELETE', `/v1/jobs/${jobId}`],
  ];
  for (const [method, path] of requests) {
    const response = await ask(method, path, otherKey).catch(() => null);
    await response?.body?.cancel();
    if (response) {
      const request = `${method} ${path.replace(jobId, '{id}')}`;
      note({ kind: 'probe', at: now(), run, jobId, request, status: response.status });
    }
  }
  return null;
}

function ask(
  method: string,
  path: string,
  key: string,
  body?: string | FormData,
  headers: Record<string, string> = {},
): Promise<Response> {
  const type = body instanceof FormData ? {} : { 'content-type': 'application/json' };
  return fetch(`${apiUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...type, ...headers },
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    ...(body === undefined ? {} : { body }),
  });
}

function note(entry: ClientEntry): void {
  appendLine(journal, entry);
}

function now(): string {
  return new Date().toISOString();
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.name}: ${error.cause.message}` : error.name;
}
