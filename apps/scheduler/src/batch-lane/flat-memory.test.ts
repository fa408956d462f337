import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { plantSteps } from './testing/plant-steps.ts';
import { openSchedulerRoom } from './testing/scheduler-process.ts';
import type { SchedulerRoom } from './testing/scheduler-process.ts';

const MIB = 1024 * 1024;
/** Together just below the 200 MB that an input file of OpenAI may have; the answers are as long as the prompts. */
const LINES = 4_700;
const PROMPT_CHARACTERS = 41_000;
/** What the process may hold in its heap, garbage included: a part of either file. With more it dies. */
const HEAP_MIB = 128;
/** A file held outside of the heap would show as at least its size. */
const MOST_GROWTH_BYTES = 170 * MIB;
/** Takes minutes of two cores: `BATCH_MEMORY=1 npx vitest run apps/scheduler/src/batch-lane/flat-memory.test.ts`. */
const isAsked = process.env['BATCH_MEMORY'] === '1';

let room: SchedulerRoom | undefined;
beforeAll(async () => {
  if (isAsked) room = await openSchedulerRoom();
}, 60_000);
afterAll(() => room?.close(), 60_000);

async function residentBytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes\{[^}]*\} (\d+)/m.exec(text)![1]);
}

it.runIf(isAsked)(
  '200 MB go from the ledger to the provider and 200 MB come back with flat memory',
  async () => {
    const opened = room!;
    const { database } = opened;
    const filler = `repeat('wheel ', ${Math.floor((PROMPT_CHARACTERS - 100) / 6)})`;
    await plantSteps(database, {
      jobs: 50,
      lines: LINES,
      target: 'openai/gpt-6-luna',
      pool: 'openai',
      prompt: `n || ' [[sim:reply=' || ${filler} || ']]'`,
    });
    const scheduler = await opened.spawn({ NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` });
    const line = await scheduler.waitForLine((each) => each.includes('"listening"'), 20_000);
    const { url } = JSON.parse(line) as { url: string };
    const before = await residentBytes(url);
    let peak = before;
    const peaks: Record<string, number> = {};
    await waitFor(
      async () => {
        const [batch] = await database.query<{ status: string }>(
          "SELECT status FROM provider_batches ORDER BY status = 'ended' LIMIT 1",
        );
        const bytes = await residentBytes(url);
        peak = Math.max(peak, bytes);
        if (batch) peaks[batch.status] = Math.max(peaks[batch.status] ?? 0, bytes - before);
        const [open] = await database.query("SELECT FROM steps WHERE status <> 'completed' LIMIT 1");
        return batch?.status === 'ended' && !open;
      },
      {
        timeoutMs: 600_000,
        intervalMs: 200,
        what: () => `the batch to end, ${JSON.stringify(peaks)}\n${scheduler.logs().slice(-20).join('\n')}`,
      },
    );
    const [batch] = await database.query<{ line_count: number; bytes: number; answered: number }>(
      `SELECT sum(line_count)::int AS line_count, sum(bytes)::bigint AS bytes, sum(answered)::int AS answered FROM provider_batches`,
    );
    expect(batch).toMatchObject({ line_count: LINES, answered: LINES });
    expect(batch!.bytes).toBeGreaterThan(180 * MIB);
    const [output] = await database.query<{ bytes: number }>(
      'SELECT sum(octet_length(output::text))::bigint AS bytes FROM steps',
    );
    expect(output!.bytes).toBeGreaterThan(175 * MIB);
    const told = Object.entries(peaks).map(([state, bytes]) => `${state}: +${Math.round(bytes / MIB)} MiB`);
    console.log(`${Math.round(before / MIB)} MiB resident at first; ${told.join(', ')}`);
    expect(peak - before).toBeLessThan(MOST_GROWTH_BYTES);
  },
  700_000,
);
