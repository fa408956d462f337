/**
 * P4: what Millrace adds to a token, from the provider to a client. The simulator streams 100 answers at once, each of 100
 * tokens a second that say when they were written; they go through a worker, Redis and the API to a client process. Before
 * that a process with the vendor's SDK reads the same streams, which says what the provider and the machine cost.
 *
 *     npm run bench -- stream-latency [--seconds 10] [--streams 100] [--tokens-per-second 100]
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { headersOf, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';
import { startStreamClient } from './start-stream-client.ts';
import type { StreamFigures } from './stream-figures.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    streams: { type: 'string', default: '100' },
    'tokens-per-second': { type: 'string', default: '100' },
  },
});
const streams = Number(values.streams);
const tokensPerSecond = Number(values['tokens-per-second']);
const tokens = Number(values.seconds) * tokensPerSecond;
/** Before the first token: time for all clients to come. */
const SILENCE_MS = 8_000;
const PROMPT = `Count. [[sim:tokens=${tokens}]] [[sim:stamps]]`;

const { bare, through } = await withStack(
  {
    workers: 1,
    simulator: { latencyMs: SILENCE_MS, tokensPerSecond },
    environment: { MILLRACE_WORKER_CONCURRENCY: String(streams) },
  },
  async (stack) => {
    const bare = await readBare(stack.simulatorUrl ?? '');
    const headers = headersOf(stack);
    const startedAt = performance.now();
    const ids = await Promise.all(Array.from({ length: streams }, () => submit(stack.apiUrl, headers)));
    const client = startStreamClient({
      urls: ids.map((id) => `${stack.apiUrl}/v1/jobs/${id}/events`),
      headers,
      clock: 'wall',
    });
    await client.ready;
    const lateMs = performance.now() - startedAt - SILENCE_MS;
    if (lateMs > 0) throw new Error(`the clients were ${lateMs.toFixed(0)} ms late`);
    return { bare, through: await client.figures };
  },
);
/** The simulator's text has some tokens less than were asked for: words grow together. */
const sent = bare.received;
const load = `${streams} streams × ${tokensPerSecond} tokens/s`;
const way = 'P4 through worker, Redis and API: written by the provider → client';
const { received, p50, p99 } = through;
print('bare SDK', bare);
print('millrace', through);
reportFigures([
  {
    what: `${way}, ${load}, p99 ÷ 25 ms`,
    goal: '≤ 1, none lost',
    figure: `${(p99 / 25).toFixed(2)} (${p99.toFixed(1)} ms; bare SDK ${bare.p99.toFixed(1)} ms), ${sent - received} of ${sent} lost`,
    reached: p99 <= 25 && received === sent,
  },
  {
    what: `${way}, ${load}, p50 ÷ 2 ms`,
    goal: '≤ 1',
    figure: `${(p50 / 2).toFixed(2)} (${p50.toFixed(1)} ms; bare SDK ${bare.p50.toFixed(1)} ms)`,
    reached: p50 <= 2,
  },
]);

async function readBare(simulatorUrl: string): Promise<StreamFigures> {
  const child = fork(join(import.meta.dirname, 'peers/bare-stream.ts'), [
    `${simulatorUrl}/openai/v1`,
    `${PROMPT} [[sim:latency=500]]`,
    String(streams),
    String(tokens),
  ]);
  const [figures] = (await once(child, 'message')) as [StreamFigures];
  return figures;
}

function print(name: string, { p50, p99, most }: StreamFigures): void {
  console.log(
    `${name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, longest ${most.toFixed(2)} ms from the provider`,
  );
}

async function submit(apiUrl: string, headers: Record<string, string>): Promise<string> {
  const response = await fetch(`${apiUrl}/v1/jobs`, {
    method: 'POST',
    headers: { ...headers, 'idempotency-key': randomUUID() },
    body: JSON.stringify({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: PROMPT,
      max_output_tokens: tokens,
      stream: true,
    }),
  });
  if (response.status !== 202) throw new Error(`intake answered ${response.status}`);
  return ((await response.json()) as { id: string }).id;
}
