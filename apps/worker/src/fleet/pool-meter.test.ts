import { expect, test } from 'vitest';
import { createPoolMeter } from './pool-meter.ts';

test('the meter says what runs, for how long the oldest has, and how long calls hold their places', async () => {
  let clock = 0;
  const meter = createPoolMeter(['openai', 'anthropic'], () => clock);
  const idle = { running: 0, ended: 0, holdMs: null, oldestMs: 0 };
  expect(meter.read()).toEqual({ openai: idle, anthropic: idle });

  const first = meter.begin('openai');
  clock = 100;
  const second = meter.begin('openai');
  clock = 300;
  expect(meter.read().openai).toEqual({ running: 2, ended: 0, holdMs: null, oldestMs: 300 });
  first();
  expect(meter.read().openai).toMatchObject({ running: 1, oldestMs: 200 });
  second();
  second();
  meter.note('openai', 400);
  meter.note('openai', 600);
  expect(meter.read()).toEqual({ openai: { ...idle, ended: 2, holdMs: 500 }, anthropic: idle });

  // What the ledger takes before a call departs holds the place too.
  await meter.timed('claim', async () => (clock += 20));
  await expect(
    meter.timed('departure', async () => {
      clock += 5;
      throw new Error('the ledger is away');
    }),
  ).rejects.toThrow('away');
  expect(meter.read().openai?.holdMs).toBe(525);
});

test('a change of pace is seen within some tens of calls', () => {
  const meter = createPoolMeter([]);
  for (let call = 0; call < 1_000; call += 1) meter.note('openai', 100);
  for (let call = 0; call < 50; call += 1) meter.note('openai', 1_000);
  expect(meter.read().openai?.holdMs).toBeGreaterThan(950);
});
