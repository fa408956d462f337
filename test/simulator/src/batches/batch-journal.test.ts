import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { joinBatches, type JournalEntry } from '../index.ts';
import {
  chatLine,
  chatLines,
  HAIKU,
  LUNA,
  startBatchBench,
  type BatchBench,
} from '../testing/batch-bench.ts';

const HOUR_MS = 3_600_000;
let bench: BatchBench;

beforeAll(async () => {
  bench = await startBatchBench();
});
afterAll(async () => {
  await bench.simulator.stop();
});

function notesOf<Event extends JournalEntry['event']>(
  event: Event,
): Extract<JournalEntry, { readonly event: Event }>[] {
  return bench.simulator.journal().filter((entry) => entry.event === event) as never;
}

describe('the journal of batches', () => {
  it('shows batches that were created twice, whatever the order of their lines', async () => {
    const lines = [chatLine('a', '[[sim:reply=x]]'), chatLine('b', '[[sim:reply=y]]')];
    const first = await bench.createOpenai(lines, { intent: 'once' });
    const second = await bench.createOpenai([...lines].reverse(), { intent: 'again' });
    const other = await bench.createOpenai([chatLine('z', '[[sim:reply=x]]')]);
    await bench.simulator.advance(HOUR_MS);
    const batches = joinBatches(bench.simulator.journal());
    const hashOf = (id: string): string =>
      batches.find((batch) => batch.created.batchId === id)!.read!.customIdsSha256;
    expect(hashOf(first.id)).toBe(hashOf(second.id));
    expect(hashOf(first.id)).not.toBe(hashOf(other.id));
    expect(batches.map((batch) => batch.created.metadata)).toContainEqual({ intent: 'again' });
    const completions = batches.flatMap((batch) => batch.lines).filter((line) => line.customId === 'a');
    expect(completions).toHaveLength(2);
    expect(completions[0]).toMatchObject({ result: 'succeeded', status: 200 });
  });

  it('tells of every line once with what it cost, and of the life of the files', async () => {
    const batch = await bench.createOpenai([...chatLines(3), chatLine('bad', '[[sim:fault=server_error]]')]);
    await bench.simulator.advance(HOUR_MS);
    const { output_file_id: fileId } = await bench.openai.batches.retrieve(batch.id);
    await bench.linesOf(fileId!);
    await bench.openai.files.delete(fileId!);
    const journalled = joinBatches(bench.simulator.journal()).find(
      (each) => each.created.batchId === batch.id,
    )!;
    expect(journalled.statuses).toEqual(['in_progress', 'finalizing', 'completed']);
    expect(journalled.ended).toMatchObject({ requests: 4, results: { succeeded: 3, errored: 1 } });
    const billed = journalled.lines.reduce((sum, line) => sum + Number(line.billedUsd), 0);
    expect(billed).toBeCloseTo(Number(journalled.ended!.billedUsd), 9);
    expect(billed).toBeGreaterThan(0);
    expect(journalled.lines.find((line) => line.customId === 'bad')).toMatchObject({
      result: 'errored',
      status: 500,
      billedUsd: '0.000000000',
    });
    expect(notesOf('file.uploaded').map((note) => note.fileId)).toContain(batch.input_file_id);
    // It is noted after its last byte has left.
    await expect.poll(() => notesOf('file.read').at(-1)).toMatchObject({ fileId, whole: true });
    expect(notesOf('file.deleted').at(-1)).toMatchObject({ fileId });
  });

  it('bills lines at half of what the same calls cost in realtime', async () => {
    await fetch(`${bench.simulator.url}/_simulator/bill`, { method: 'DELETE' });
    const prompt = '[[sim:tokens=200]] Tell me something long.';
    const messages = [{ role: 'user' as const, content: prompt }];
    await bench.createOpenai([chatLine('a', prompt)]);
    await bench.createAnthropic([prompt]);
    await bench.openai.chat.completions.create({ model: LUNA, messages });
    await bench.anthropic.messages.create({ model: HAIKU, max_tokens: 100, messages });
    await bench.simulator.advance(HOUR_MS);
    const bill = (await (await fetch(`${bench.simulator.url}/_simulator/bill`)).json()) as {
      lanes: Record<'batch' | 'realtime', { costUsd: string; standardUsd: string }>;
      lines: { model: string; lane: string; costUsd: string }[];
    };
    expect(Number(bill.lanes.batch.costUsd)).toBeCloseTo(Number(bill.lanes.realtime.costUsd) / 2, 9);
    expect(bill.lanes.batch.standardUsd).toBe(bill.lanes.realtime.costUsd);
    expect(bill.lines.map((line) => `${line.model} ${line.lane}`).sort()).toEqual([
      `${HAIKU} batch`,
      `${HAIKU} realtime`,
      `${LUNA} batch`,
      `${LUNA} realtime`,
    ]);
  });

  it('lists every batch for whoever asks the simulator itself', async () => {
    const answer = await fetch(`${bench.simulator.url}/_simulator/batches`);
    const { batches } = (await answer.json()) as { batches: { dialect: string; status: string }[] };
    expect(batches).toContainEqual(
      expect.objectContaining({ dialect: 'openai', status: 'completed', metadata: { intent: 'once' } }),
    );
    expect(batches).toContainEqual(expect.objectContaining({ dialect: 'anthropic', status: 'ended' }));
  });
});
