import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConfigError } from './config.ts';
import { loadConfig } from './load-config.ts';
import { readSettings } from './read-settings.ts';

const required = { DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' };
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-scaling-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});
const load = (file: string) => {
  writeFileSync(join(directory, 'millrace.config.yaml'), file);
  return loadConfig(required, directory);
};

it('scales by target waits and bounds of its own, and changes only those that are named', () => {
  expect(load('').scaling).toEqual({
    targetWaitMs: { realtime: 2_000, standard: 30_000, background: 600_000 },
    minConcurrency: 1,
    maxConcurrency: null,
    boundMs: { realtime: 600_000, standard: 7_200_000, background: 86_400_000 },
  });
  const { scaling } = load(
    'scaling: {target_wait: {standard: 5s}, max_concurrency: 40}\nbackpressure: {background: 1h}',
  );
  expect(scaling.targetWaitMs).toEqual({ realtime: 2_000, standard: 5_000, background: 600_000 });
  expect([scaling.maxConcurrency, scaling.boundMs.background]).toEqual([40, 3_600_000]);
});

it('refuses what is no duration and a maximum below the minimum', () => {
  const file = 'scaling: {min_concurrency: 9, max_concurrency: 3}\nbackpressure: {realtime: soon}';
  expect(() => load(file)).toThrow(ConfigError);
  expect(() => load(file)).toThrow(/max_concurrency: 3 is less than min_concurrency, 9/);
  expect(() => load(file)).toThrow(/backpressure\.realtime: "soon" is not a duration/);
});

it('reads the workers of the local stack as a number or a range', () => {
  const read = (text: string) => readSettings({ ...required, MILLRACE_WORKERS: text });
  expect(read('3').values.MILLRACE_WORKERS).toEqual({ least: 3, most: 3 });
  expect(read('1..4').values.MILLRACE_WORKERS).toEqual({ least: 1, most: 4 });
  for (const wrong of ['0', '4..1', '1..65', '1-4', '..4']) expect(read(wrong).problems).toHaveLength(1);
});
