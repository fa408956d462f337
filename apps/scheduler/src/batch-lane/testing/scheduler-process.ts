import { migrate } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { startSimulator } from '@millrace/simulator';
import type { RunningSimulator } from '@millrace/simulator';
import { createTestDatabase, createTestRedis, spawnApp } from '@millrace/test-support';
import type { SpawnedApp } from '@millrace/test-support';
import { openTestLedger } from '../../../../../libs/ledger/src/testing/open-test-ledger.ts';

export const KEY = 'sk-of-the-test';

/** Schedulers as processes of their own, on a real ledger, a real Redis and a simulated provider. */
export interface SchedulerRoom {
  database: Database;
  simulator: RunningSimulator;
  /** Starts one; it leads within seconds after another one was killed. */
  spawn(environment?: Record<string, string>): Promise<SpawnedApp>;
  close(): Promise<void>;
}

export async function openSchedulerRoom(): Promise<SchedulerRoom> {
  const own = await createTestDatabase({ migrate });
  const ledger = await openTestLedger(own.url, { maxConnections: 2, statementTimeoutMs: 120_000 });
  const redis = createTestRedis();
  const simulator = await startSimulator({
    config: { batches: { validateMs: 50, runMs: 200, finalizeMs: 50, tickMs: 50 }, journalInMemory: 100 },
  });
  const spawned: SpawnedApp[] = [];
  return {
    database: ledger.database,
    simulator,
    async spawn(environment = {}) {
      const one = await spawnApp({
        app: 'scheduler',
        environment: {
          DATABASE_URL: own.url,
          REDIS_URL: redis.url,
          MILLRACE_KEY_PREFIX: redis.prefix,
          MILLRACE_OPERATIONS_PORT: '0',
          MILLRACE_LEADER_LEASE: '3s',
          MILLRACE_BATCH_COLLECT_AGE: '1s',
          MILLRACE_BATCH_POLL_INTERVAL: '1s',
          MILLRACE_BATCH_PILOT_FROM: '1000000',
          OPENAI_BASE_URL: `${simulator.url}/openai/v1`,
          OPENAI_API_KEY: KEY,
          ...environment,
        },
      });
      spawned.push(one);
      return one;
    },
    async close() {
      for (const one of spawned) if (one.process.isRunning()) await one.kill('SIGKILL');
      await simulator.stop();
      await ledger.close();
      await redis.flush();
      await own.drop();
    },
  };
}
