import { RetryableError } from '@millrace/contracts';
import { startSimulator } from '@millrace/simulator';
import type { RunningSimulator } from '@millrace/simulator';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { costMicroUsd } from '../prices/call-cost.ts';
import { loadPriceCatalogue } from '../prices/price-catalogue.ts';
import { aProgress, aSubmission, resultsOf } from '../testing/batch-submission.ts';
import { aCall, failureOf } from '../testing/call-builder.ts';
import type { BatchPort } from './batch-port.ts';
import { createBatchPort } from './create-batch-port.ts';

let simulator: RunningSimulator;
const models = { openai: 'gpt-6-luna', anthropic: 'claude-haiku-5-5' };
const catalogue = loadPriceCatalogue();
const HOUR_MS = 3_600_000;

beforeEach(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator.stop());

describe.each(['openai', 'anthropic'] as const)('%s against the simulator', (kind) => {
  const open = (): BatchPort =>
    createBatchPort({
      name: kind,
      kind,
      baseUrl: kind === 'openai' ? `${simulator.url}/v1` : simulator.url,
      apiKey: 'sk-simulated',
      maxConcurrentSockets: 4,
    })!;
  const lineOf = (port: BatchPort, name: string, content: string) =>
    port.toLine(`bat_01_${name}`, aCall({ model: models[kind], messages: [{ role: 'user', content }] }));

  test('a batch goes from submission to results, at half of the price, bad lines apart', async () => {
    const port = open();
    const lines = Array.from({ length: 40 }, (_each, at) => lineOf(port, `${at}`, `[[sim:tokens=20]] ${at}`));
    lines.push(lineOf(port, 'bad', '[[sim:fault=bad_request]]'), lineOf(port, 'no', '[[sim:fault=refusal]]'));
    const created = await port.submit(aSubmission(lines), aProgress());
    expect(created.endedAt).toBeNull();
    const since = Date.now();
    const found = await port.find({ batchId: 'bat_01', lineCount: lines.length, since });
    expect(found).toEqual([
      {
        batch: expect.objectContaining({ providerBatchId: created.providerBatchId }) as unknown,
        certain: kind === 'openai',
      },
    ]);
    await simulator.advance(HOUR_MS);
    const ended = await port.retrieve(created.providerBatchId);
    expect(ended).toMatchObject({ phase: 'completed', counts: { total: 42 } });
    expect((await port.find({ batchId: 'bat_01', lineCount: lines.length, since }))[0]?.certain).toBe(true);
    const results = await resultsOf(port, ended);
    expect(results.size).toBe(42);
    expect(results.get('bat_01_bad')).toMatchObject({
      kind: 'error',
      error: { failure: { code: 'provider_refused_request' } },
    });
    expect(results.get('bat_01_no')).toMatchObject({
      kind: 'error',
      error: { failure: { code: 'content_refused' } },
    });
    const spent = [...results.values()].map((result) => {
      const usage = result.kind === 'answered' ? result.answer.usage : null;
      const told = result.kind === 'error' ? result.error.failure.usage : usage;
      if (!told) return 0;
      const priced = { kind, model: models[kind], usage: told, at: new Date() };
      const { microUsd } = costMicroUsd(catalogue, { ...priced, tier: 'batch' });
      expect(
        Math.abs(costMicroUsd(catalogue, { ...priced, tier: null }).microUsd - 2 * microUsd),
      ).toBeLessThan(2);
      return microUsd;
    });
    const bill = (await (await fetch(`${simulator.url}/_simulator/bill`)).json()) as { total_usd: number };
    const total = spent.reduce((sum, each) => sum + each, 0);
    // Each of 42 calls is rounded to a micro-dollar.
    expect(Math.abs(total - bill.total_usd * 1e6)).toBeLessThanOrEqual(21);
    await port.discard(ended);
    await port.discard(ended);
  });

  test('a cancelled batch keeps what was answered and says of the rest that it may go elsewhere', async () => {
    const port = open();
    const lines = Array.from({ length: 20 }, (_each, at) => lineOf(port, `${at}`, 'Why?'));
    const { providerBatchId } = await port.submit(aSubmission(lines), aProgress());
    await simulator.advance(2_000);
    await simulator.advance(300_000);
    await port.cancel(providerBatchId);
    await simulator.advance(HOUR_MS);
    const ended = await port.retrieve(providerBatchId);
    expect(ended.phase).toBe('cancelled');
    const results = [...(await resultsOf(port, ended)).values()];
    expect(results.filter((each) => each.kind === 'answered').length).toBeGreaterThan(2);
    // OpenAI does not name the lines that it did not come to.
    const unbilled = results.filter((each) => each.kind === 'unbilled');
    expect(unbilled.every((each) => each.kind === 'unbilled' && each.reason === 'cancelled')).toBe(true);
    if (kind === 'anthropic') expect(results).toHaveLength(20);
    await port.cancel(providerBatchId);
  });

  test('lines that never got their turn are told to have expired', async () => {
    const port = open();
    const lines = [lineOf(port, 'fine', 'Why?'), lineOf(port, 'stuck', '[[sim:fault=hang]]')];
    const { providerBatchId } = await port.submit(aSubmission(lines), aProgress());
    await simulator.advance(25 * HOUR_MS);
    const ended = await port.retrieve(providerBatchId);
    expect(ended.phase).toBe('expired');
    const results = await resultsOf(port, ended);
    expect(results.get('bat_01_fine')?.kind).toBe('answered');
    expect(results.get('bat_01_stuck')).toEqual({
      customId: 'bat_01_stuck',
      kind: 'unbilled',
      reason: 'expired',
    });
  });
});

test('an output file that is missing for a while after the end comes later', async () => {
  await fetch(`${simulator.url}/_simulator/faults`, {
    method: 'POST',
    body: JSON.stringify({ kind: 'batch_output_missing', ms: 600_000 }),
  });
  let skewMs = 0;
  const port = createBatchPort({
    name: 'openai',
    kind: 'openai',
    baseUrl: `${simulator.url}/v1`,
    apiKey: 'sk-simulated',
    maxConcurrentSockets: 4,
    now: () => Date.now() + skewMs,
  })!;
  const line = port.toLine('bat_01_0', aCall({ model: models.openai }));
  const { providerBatchId } = await port.submit(aSubmission([line]), aProgress());
  skewMs = 700_000;
  await simulator.advance(skewMs);
  const early = await port.retrieve(providerBatchId);
  expect(early.phase).toBe('completed');
  expect(await failureOf(resultsOf(port, early))).toBeInstanceOf(RetryableError);
  await simulator.advance(HOUR_MS);
  expect((await resultsOf(port, await port.retrieve(providerBatchId))).get('bat_01_0')?.kind).toBe(
    'answered',
  );
});
