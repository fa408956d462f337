/**
 * How often a provider is asked in vain that is down (I8): a steady flow of jobs on a route with a second provider, while the
 * first answers 503 for a time and 15 s after it; the provider's journal says how many calls that took, and where they went.
 *
 *     npm run bench -- outage [--seconds 20]
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { joinJournal, readJournal } from '@millrace/simulator';
import pg from 'pg';
import { headersOf, withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' } } });
const downMs = Number(values.seconds) * 1_000;
const AFTER_MS = 15_000;
/** After this the first provider is expected to be used again. */
const HOME_MS = 12_000;
const EVERY_MS = 25;

await withStack(
  {
    workers: 2,
    simulator: { latencyMs: 200, latencyJitterMs: 100 },
    environment: { MILLRACE_WORKER_CONCURRENCY: '32' },
    configuration: `routes:
  both: {targets: [{target: openai/gpt-6.1-sol}], fallback: [anthropic/claude-haiku-5-5]}
`,
  },
  async (stack) => {
    const fault = { kind: 'unavailable', seconds: downMs / 1_000, match: { dialect: 'openai' } };
    await fetch(`${stack.simulatorUrl}/_simulator/faults`, { method: 'POST', body: JSON.stringify(fault) });
    const downUntil = Date.now() + downMs;
    const submitted: Promise<string>[] = [];
    while (Date.now() < downUntil + AFTER_MS) {
      submitted.push(submit(stack.apiUrl, headersOf(stack), submitted.length));
      await pause(EVERY_MS);
    }
    const ids = new Set(await Promise.all(submitted));
    const failed = await whenEnded(stack.databaseUrl);
    const calls = joinJournal(readJournal(stack.simulatorJournalPath ?? '')).filter((call) =>
      ids.has(call.stepId?.split('/')[0] ?? ''),
    );
    const late = calls.filter((call) => Date.parse(call.at) > downUntil + HOME_MS);
    const home = late.filter((call) => call.dialect === 'openai').length / late.length;
    const ratio = calls.length / ids.size;
    console.log(`${calls.length} calls for ${ids.size} steps; jobs that failed: ${failed}`);
    reportFigures([
      {
        what: `calls that go to the provider again, ${HOME_MS / 1_000} s after it was down for ${downMs / 1_000} s`,
        goal: '> 90 %',
        figure: `${(home * 100).toFixed(1)} %`,
        reached: home > 0.9,
      },
      {
        what: `calls ÷ steps while a provider is down for ${downMs / 1_000} s (I8)`,
        goal: '≤ 1.1, none failed',
        figure: `${ratio.toFixed(3)}, ${failed} failed`,
        reached: ratio <= 1.1 && failed === 0,
      },
    ]);
  },
);

/** Submits one job, with the same key again where the intake cannot say whether it has it. */
async function submit(apiUrl: string, headers: Record<string, string>, number: number): Promise<string> {
  const request = {
    method: 'POST',
    headers: { ...headers, 'idempotency-key': randomUUID() },
    body: JSON.stringify({ type: 'call', route: 'both', prompt: `Flow ${number}`, max_output_tokens: 30 }),
  };
  let response = await fetch(`${apiUrl}/v1/jobs`, request);
  for (let tries = 1; response.status === 503 && tries < 20; tries += 1) {
    await response.arrayBuffer();
    await pause(500);
    response = await fetch(`${apiUrl}/v1/jobs`, request);
  }
  if (response.status !== 202) throw new Error(`intake answered ${response.status}`);
  return ((await response.json()) as { id: string }).id;
}

/** Waits for the ends of all jobs; answers how many did not complete. */
async function whenEnded(databaseUrl: string): Promise<number> {
  const database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();
  try {
    for (;;) {
      const { rows } = await database.query<{ open: number; failed: number }>(
        `SELECT count(*) FILTER (WHERE finished_at IS NULL)::int AS open,
           count(*) FILTER (WHERE status <> 'completed')::int AS failed FROM jobs`,
      );
      const [row] = rows;
      if (row?.open === 0) return row.failed;
      await pause(250);
    }
  } finally {
    await database.end();
  }
}
