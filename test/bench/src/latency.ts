/**
 * P3: what Millrace adds when idle: from POST sent to the request's arrival at the provider, and from the end of the
 * provider's answer to the answer in the hands of a waiting client. Times of the provider's journal (milliseconds).
 */
import { randomUUID } from 'node:crypto';
import { joinJournal, readJournal } from '@millrace/simulator';
import { headersOf, percentile, withStack } from './bench-stack.ts';

const JOBS = 200;

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
  const calls = joinJournal(readJournal(stack.simulatorJournalPath ?? '')).slice(20);
  const jobOf = (stepId: string | null) => stepId?.split('/')[0] ?? '';
  return {
    before: calls.map((call) => Date.parse(call.at) - (sent.get(jobOf(call.stepId)) ?? Number.NaN)),
    after: calls.map((call) => (seen.get(jobOf(call.stepId)) ?? Number.NaN) - Date.parse(call.end?.at ?? '')),
  };
});
const show = (label: string, numbers: number[]) =>
  console.log(`${label.padEnd(34)} p50 ${percentile(numbers, 0.5)} ms   p99 ${percentile(numbers, 0.99)} ms`);
show('POST sent → request at provider', before);
show('provider’s answer → waiting client', after);
console.log(
  `p50: ${percentile(before, 0.5)} ms (goal ≤ 10) and ${percentile(after, 0.5)} ms (goal ≤ 5); p99 goal ≤ 40 ms`,
);
