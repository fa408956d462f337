/** P6: a MapReduce of 1,000 items at 200 ms per call and concurrency 100, against the least time that takes: 11 × 200 ms. */
import { randomUUID } from 'node:crypto';
import { headersOf, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';

const ITEMS = 1_000;
const CONCURRENCY = 100;
const CALL_MS = 200;

const seconds = await withStack(
  {
    workers: 1,
    simulator: { latencyMs: CALL_MS },
    environment: { MILLRACE_WORKER_CONCURRENCY: String(CONCURRENCY) },
  },
  async (stack) => {
    const call = (prompt: string) => ({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: `${prompt} [[sim:reply=x]]`,
    });
    const run = async (items: number) => {
      const response = await fetch(`${stack.apiUrl}/v1/jobs`, {
        method: 'POST',
        headers: { ...headersOf(stack), 'idempotency-key': randomUUID(), prefer: 'wait=60' },
        body: JSON.stringify({
          type: 'map_reduce',
          items: Array.from({ length: items }, (_, index) => `item ${index}`),
          map: call('{{ item }}'),
          reduce: call('{{ items | size }}'),
        }),
      });
      const job = (await response.json()) as { status: string; created_at: string; finished_at: string };
      if (job.status !== 'completed') throw new Error(`job is ${job.status}`);
      return (Date.parse(job.finished_at) - Date.parse(job.created_at)) / 1_000;
    };
    await run(50);
    return run(ITEMS);
  },
);
const least = ((ITEMS / CONCURRENCY + 1) * CALL_MS) / 1_000;
const ratio = seconds / least;
reportFigures([
  {
    what: `P6 MapReduce of ${ITEMS.toLocaleString('en')} items, ${CALL_MS} ms per call, concurrency ${CONCURRENCY} ÷ the least possible time`,
    goal: '≤ 1.10',
    figure: `${ratio.toFixed(2)} (${seconds.toFixed(2)} s)`,
    reached: ratio <= 1.1,
  },
]);
