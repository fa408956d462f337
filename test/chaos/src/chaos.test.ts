import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCrashes } from './campaigns/crash-points.ts';
import { crashRuns, points } from './campaigns/crash-runs.ts';
import { defectsConfiguration, tryDefects } from './campaigns/defects.ts';
import { plantedDefects } from './campaigns/planted-defects.ts';
import { startChaosStack } from './stack/start-chaos-stack.ts';
import type { ChaosStack } from './stack/start-chaos-stack.ts';

/** The slice of the programme that every change has to pass; `npm run chaos` has the rest. */
let stack: ChaosStack;
beforeAll(async () => {
  stack = await startChaosStack({ workers: 2, configuration: defectsConfiguration });
}, 60_000);
afterAll(() => stack.end());

const said: string[] = [];
const request = {
  seeds: 1,
  seed: 1,
  only: null,
  progress: (line: string) => void said.push(line),
  mayGoOn: () => true,
};

const slice = [
  'intake.after-commit-chain-s1',
  'advance.inserted-map_reduce-s1',
  'call.after-sent-call-s1',
  'call.mid-stream-chain-s1',
  'call.after-record-map_reduce-s1',
  'finish.after-deliveries-call-s1',
  'webhook.after-post-call-s1',
];

it('keeps every invariant when a process dies at a named point', async () => {
  const wanted = crashRuns(request).filter(({ run }) => slice.includes(run));
  expect(wanted.map(({ run }) => run).toSorted()).toEqual(slice.toSorted());
  const runs = await runCrashes(stack, request, wanted);
  expect(runs.map(({ run, landed }) => [run.replace(/-try\d$/, ''), landed]).toSorted()).toEqual(
    slice.map((run) => [run, 1]).toSorted(),
  );
  expect(runs.flatMap(({ violations }) => violations).filter(({ invariant }) => invariant !== 'I12')).toEqual(
    [],
  );
}, 150_000);

describe('the checker', () => {
  it.each(['send-before-record', 'miscount-usage', 'unsigned-webhook', 'cross-tenant-read'])(
    'is red when %s is planted, and green without',
    async (name) => {
      const wanted = plantedDefects.filter((defect) => defect.name === name);
      const runs = await tryDefects(stack, wanted, request);
      expect(runs.map(({ row, landed, violations }) => [row, landed, violations])).toEqual([
        ['controls', 0, []],
        [`planted: ${name}`, 1, []],
      ]);
    },
    60_000,
  );
});

it('has at least fifteen defects, and each point once', () => {
  expect(new Set(plantedDefects.map(({ name }) => name)).size).toBeGreaterThanOrEqual(15);
  expect(new Set(points.map(({ name }) => name)).size).toBe(points.length);
});
