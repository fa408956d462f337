/**
 * P5: durable calls per second of one worker process at a provider of zero latency, beside the bare vendor SDK in a loop
 * with the same concurrency in one process.
 *
 *     npm run bench -- calls [--calls 4000]
 */
import { parseArgs } from 'node:util';
import OpenAI from 'openai';
import pg from 'pg';
import { withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';
import { submitBacklog } from './submit-backlog.ts';

const { values } = parseArgs({ options: { calls: { type: 'string', default: '4000' } } });
const CALLS = Number(values.calls);
const CONCURRENCY = 64;
const PROMPT = 'Say something. [[sim:reply=something]]';

async function bareSdk(baseURL: string): Promise<number> {
  const client = new OpenAI({ apiKey: 'sk-bench', baseURL, maxRetries: 0 });
  let left = CALLS;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (left > 0) {
        left -= 1;
        const stream = await client.responses.create({
          model: 'gpt-6-luna',
          input: PROMPT,
          max_output_tokens: 50,
          stream: true,
        });
        for await (const event of stream) if (event.type === 'response.completed') break;
      }
    }),
  );
  return CALLS / ((performance.now() - startedAt) / 1_000);
}

const figures = await withStack(
  {
    workers: 1,
    simulator: { latencyMs: 0 },
    environment: { MILLRACE_WORKER_CONCURRENCY: String(CONCURRENCY) },
  },
  async (stack) => {
    const base = `${stack.simulatorUrl}/openai/v1`;
    await bareSdk(base);
    const bare = await bareSdk(base);
    await submitBacklog(stack, CALLS, () => ({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: PROMPT,
      max_output_tokens: 50,
    }));
    const database = new pg.Client({ connectionString: stack.databaseUrl });
    await database.connect();
    const read = async (): Promise<{ open: number; calls: number; seconds: number }> => {
      const { rows } = await database.query<{ open: number; calls: number; seconds: number }>(
        `SELECT count(*) FILTER (WHERE finished_at IS NULL)::int AS open, sum(calls)::int AS calls,
           extract(epoch FROM max(finished_at) - min(started_at))::float8 AS seconds FROM jobs`,
      );
      return rows[0]!;
    };
    // What was done while the intake was still taking jobs does not count: the clock starts now.
    const before = await read();
    const startedAt = performance.now();
    let now = before;
    while (now.open > 0) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      now = await read();
    }
    await database.end();
    return { bare, durable: before.open / ((performance.now() - startedAt) / 1_000), open: before.open };
  },
);
console.log(`bare SDK  ${figures.bare.toFixed(0)} calls/s`);
console.log(
  `millrace  ${figures.durable.toFixed(0)} durable jobs of one call/s (over the last ${figures.open})`,
);
const ratio = figures.durable / figures.bare;
reportFigures([
  {
    what: 'P5 durable jobs of one call/s ÷ calls/s of the bare SDK at the same concurrency',
    goal: '≥ 0.5',
    figure: `${ratio.toFixed(2)} (${Math.round(figures.durable).toLocaleString('en')}/s)`,
    reached: ratio >= 0.5,
  },
]);
