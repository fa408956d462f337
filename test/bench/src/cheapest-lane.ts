/**
 * P8: what the batch lane costs and keeps. 10,000 jobs of one call with a deadline in 24 h; the simulator's bill and journal
 * say in which lane each was answered, how often, and at what price.
 *
 *     npm run bench -- cheapest-lane [--jobs 10000]
 */
import { parseArgs } from 'node:util';
import { joinBatches, joinJournal, readJournal } from '@millrace/simulator';
import pg from 'pg';
import { withStack } from './bench-stack.ts';
import { reportFigures } from './report-figures.ts';
import { submitBacklog } from './submit-backlog.ts';

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '10000' } } });
const count = Number(values.jobs);

await withStack(
  {
    workers: 1,
    simulator: { batches: { validateMs: 500, runMs: 5_000, finalizeMs: 200 } },
    environment: { MILLRACE_BATCH_COLLECT_AGE: '5s', MILLRACE_BATCH_POLL_INTERVAL: '2s' },
  },
  async (stack) => {
    const startedAt = performance.now();
    await submitBacklog(stack, count, (number) => ({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: `Classify the ticket number ${number}. [[sim:reply=bug]]`,
      max_output_tokens: 20,
      deadline: '24h',
    }));
    const database = new pg.Client({ connectionString: stack.databaseUrl });
    database.on('error', (error) => console.error(error));
    await database.connect();
    const ended = async (): Promise<{ ended: number; completed: number }> => {
      const { rows } = await database.query<{ ended: number; completed: number }>(
        `SELECT count(*) FILTER (WHERE finished_at IS NOT NULL)::int AS ended,
           count(*) FILTER (WHERE status = 'completed')::int AS completed FROM jobs`,
      );
      return rows[0] ?? { ended: 0, completed: 0 };
    };
    while ((await ended()).ended < count) await new Promise((resolve) => setTimeout(resolve, 500));
    const { completed } = await ended();
    const { rows } = await database.query<{ lane: string; steps: number }>(
      'SELECT lane, count(*)::int AS steps FROM steps GROUP BY lane ORDER BY lane',
    );
    await database.end();

    const entries = readJournal(stack.simulatorJournalPath ?? '');
    const batches = joinBatches(entries);
    const lines = batches.flatMap((batch) => batch.lines.filter((line) => line.result === 'succeeded'));
    const calls = joinJournal(entries).filter(
      (call) => call.batchId === null && call.stepId !== null && call.end?.status === 200,
    );
    const bill = (await (await fetch(`${stack.simulatorUrl}/_simulator/bill`)).json()) as {
      lanes: Record<string, { costUsd: string; standardUsd: string }>;
    };
    const sum = (of: 'costUsd' | 'standardUsd'): number =>
      Object.values(bill.lanes).reduce((total, lane) => total + Number(lane[of]), 0);
    console.log(`${count} jobs in ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
    console.log(`steps by lane: ${rows.map(({ lane, steps }) => `${lane} ${steps}`).join(', ')}`);
    const twiceCreated = batches.length - new Set(batches.map(({ read }) => read?.customIdsSha256)).size;
    const lost = count - completed;
    const twiceAnswered = lines.length + calls.length - count;
    const ratio = sum('costUsd') / sum('standardUsd');
    reportFigures([
      {
        what: `P8 ${count.toLocaleString('en')} calls with a deadline in 24 h: answered in provider batches`,
        goal: 'all, none lost, none twice',
        figure: `${lines.length.toLocaleString('en')} in ${batches.length} batches; lost ${lost}, answered twice ${twiceAnswered}, batches twice ${twiceCreated}`,
        // One call goes ahead to try the shape.
        reached: lines.length >= count - 1 && lost + twiceAnswered + twiceCreated === 0,
      },
      {
        what: `P8 ${count.toLocaleString('en')} calls with a deadline in 24 h: bill ÷ realtime`,
        goal: '0.50',
        figure: ratio.toFixed(4),
        reached: ratio < 0.505,
      },
    ]);
  },
);
