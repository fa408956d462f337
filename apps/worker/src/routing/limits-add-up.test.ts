import { joinJournal } from '@millrace/simulator';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestWorker } from '../testing/start-test-worker.ts';
import type { TestWorker } from '../testing/start-test-worker.ts';

const LUNA = 'openai/gpt-6-luna';
const HAIKU = 'anthropic/claude-haiku-5-5';

let worker: TestWorker;
beforeAll(async () => {
  worker = await startTestWorker({
    // Twenty calls a second at the one, five at the other, whatever the simulator says in its headers.
    config: `pools:
  fast: {targets: [${LUNA}], requests_per_minute: 1200, burst: 1s, fixed: true}
  slow: {targets: [${HAIKU}], requests_per_minute: 300, burst: 1s, fixed: true}
routes:
  both: {targets: [{target: ${LUNA}}, {target: ${HAIKU}}]}
`,
  });
});
afterAll(async () => {
  await worker.stop();
});

it('a burst on a route goes to each target by what its limits can take, not by the weights alone', async () => {
  // The outlook has its first readings when the first call has ended.
  await worker.ended(await worker.submit({ type: 'call', route: 'both', prompt: 'x' }));
  // Each is drawn by chance: of so many, hardly ever a tenth goes another way.
  const items = Array.from({ length: 270 }, (_, index) => index);
  const id = await worker.submit({
    type: 'map_reduce',
    items,
    map: { type: 'call', route: 'both', prompt: '{{ item }} [[sim:reply=x]]' },
  });
  expect(await worker.ended(id, 40_000)).toMatchObject({ status: 'completed', calls: 270 });
  const calls = joinJournal(worker.simulator.journal()).filter(({ stepId }) => stepId?.startsWith(`${id}/`));
  const share = calls.filter(({ model }) => LUNA.endsWith(`/${model}`)).length / calls.length;
  // By the limits 80 %, by the weights 50 %.
  expect(share).toBeGreaterThan(0.65);
  expect(share).toBeLessThan(0.95);
}, 60_000);
