/**
 * P3: what Millrace adds when idle: from POST sent to the request's arrival at the provider, and from the end of the
 * provider's answer to the answer in the hands of a waiting client. Times of the provider's journal (milliseconds).
 *
 *     npm run bench -- latency [--jobs 200]
 */
import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { joinJournal, readJournal } from '@millrace/simulator';
import { headersOf, percentile, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';
import type { Figure } from './report-figures.ts';

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '200' } } });
const WARMING = 20;
const JOBS = Number(values.jobs) + WARMING;

const { before, after } = await withStack({ workers: 1, simulator: { latencyMs: 20 } }, async (stack) => {
  const sent = new Map<string, number>();
  const seen = new Map<string, number>();
  for (let index = 0; index < JOBS; index += 1) {
    const sentAt = Date.now();
    const response = await fetch(`${stack.apiUrl}/v1/jobs`, {
      method: 'POST',
      headers: { ...headersOf(stack), 'idempotency-key': randomUUID(), prefer: 'wait=20' },
      body: JSON.stringify({
        type: 'call',
        model: 'openai/gpt-6-luna',
        prompt: `Hi ${index} [[sim:reply=hi]]`,
      }),
    });
    const job = (await response.json()) as { id: string; status: string };
    if (job.status !== 'completed') throw new Error(`job is ${job.status}`);
    sent.set(job.id, sentAt);
    seen.set(job.id, Date.now());
  }
  const calls = joinJournal(readJournal(stack.simulatorJournalPath ?? '')).slice(WARMING);
  const jobOf = (stepId: string | null) => stepId?.split('/')[0] ?? '';
  return {
    before: calls.map((call) => Date.parse(call.at) - (sent.get(jobOf(call.stepId)) ?? Number.NaN)),
    after: calls.map((call) => (seen.get(jobOf(call.stepId)) ?? Number.NaN) - Date.parse(call.end?.at ?? '')),
  };
});
reportFigures([
  ...figuresOf('POST sent → request at the provider', before, 10),
  ...figuresOf('provider’s answer → waiting client', after, 5),
]);

/** The p99 first, then the p50, each as milliseconds and as a part of its goal. */
function figuresOf(way: string, milliseconds: readonly number[], p50GoalMs: number): Figure[] {
  return [
    { name: 'p99', share: 0.99, goalMs: 40 },
    { name: 'p50', share: 0.5, goalMs: p50GoalMs },
  ].map(({ name, share, goalMs }) => {
    const seenMs = percentile(milliseconds, share);
    return {
      what: `P3 idle: ${way}, ${name} ÷ ${goalMs} ms`,
      goal: '≤ 1',
      figure: `${(seenMs / goalMs).toFixed(2)} (${seenMs} ms)`,
      reached: seenMs <= goalMs,
    };
  });
}
