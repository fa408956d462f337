import type { PoolPlan, ScalingPlan } from '@millrace/contracts';
import { createMetrics } from '@millrace/telemetry';
import { expect, test } from 'vitest';
import { showPlan } from './show-plan.ts';

const limits = [
  { dimension: 'requests', limit: 540, used: 120, outside: 60 },
  { dimension: 'tokens', limit: 90_000, used: 8_000, outside: 0 },
];
const planOf = (pool: Partial<PoolPlan>): ScalingPlan => ({
  workers: [{ id: 'a', capacity: 16, pools: ['openai'] }],
  wantedProcesses: 2,
  pools: {
    openai: { wanted: 20, granted: 16, feedable: null, bottleneck: 'backlog', ...pool } as PoolPlan,
  },
});

test('the limits in force, what we use of them and what others use are shown while a plan tells them', async () => {
  const metrics = createMetrics('scheduler');
  const shown = async (): Promise<string[]> =>
    (await metrics.registry.metrics())
      .split('\n')
      .filter((line) => /^millrace_limit(_used|_outside|_share)?\{/.test(line))
      .map((line) => line.replace(',app="scheduler"', ''));

  showPlan(metrics, planOf({ limits, limitShare: 0.5 }));
  expect(await shown()).toEqual([
    'millrace_limit{pool="openai",dimension="requests"} 540',
    'millrace_limit{pool="openai",dimension="tokens"} 90000',
    'millrace_limit_used{pool="openai",dimension="requests"} 120',
    'millrace_limit_used{pool="openai",dimension="tokens"} 8000',
    'millrace_limit_outside{pool="openai",dimension="requests"} 60',
    'millrace_limit_outside{pool="openai",dimension="tokens"} 0',
    'millrace_limit_share{pool="openai"} 0.5',
  ]);
  // A book that could not be read, and a scheduler that no longer leads, leave no figures of yesterday.
  showPlan(metrics, planOf({}));
  expect(await shown()).toEqual([]);
  showPlan(metrics, planOf({ limits, limitShare: 0.5 }));
  showPlan(metrics, null);
  expect(await shown()).toEqual([]);
});
