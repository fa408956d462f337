import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@millrace/config';
import { createId, jobRequestSchema, parseDeadlineAt, splitJobRequest } from '@millrace/contracts';
import { acceptJobs, ensureTenant, findJob, listSteps, migrate, openDatabase } from '@millrace/ledger';
import type { Database, JobRecord, StepRecord } from '@millrace/ledger';
import { connectRedis, closeRedis, keyNames } from '@millrace/redis';
import type { KeyNames } from '@millrace/redis';
import { startSimulator } from '@millrace/simulator';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { createTestDatabase, createTestRedis, waitFor } from '@millrace/test-support';
import { createProducer } from '@millrace/transport';
import { createScheduler } from '../../../scheduler/src/scheduler.ts';
import { createWorker } from '../worker.ts';

/** A worker and a scheduler in this process, on real servers and a simulated provider. */
export interface TestWorker {
  database: Database;
  redis: ReturnType<typeof connectRedis>;
  names: KeyNames;
  simulator: Awaited<ReturnType<typeof startSimulator>>;
  /** Submits a job as the intake would and returns its id. */
  submit(request: Record<string, unknown>, options?: { wake?: boolean; tenantId?: string }): Promise<string>;
  ended(jobId: string, timeoutMs?: number): Promise<JobRecord>;
  steps(jobId: string): Promise<StepRecord[]>;
  stop(): Promise<void>;
}

export const testTenant = 'acme';

/** Starts everything; `environment` adds settings, `simulator` configures the provider. */
export async function startTestWorker(
  options: {
    environment?: Record<string, string>;
    /** Content of `millrace.config.yaml`. */
    config?: string;
    simulator?: Parameters<typeof startSimulator>[0];
    /** How many workers; default 1. */
    workers?: number;
  } = {},
): Promise<TestWorker> {
  const testDatabase = await createTestDatabase({ migrate });
  const testRedis = createTestRedis();
  const simulator = await startSimulator(options.simulator);
  const directory = mkdtempSync(join(tmpdir(), 'millrace-worker-'));
  if (options.config !== undefined) writeFileSync(join(directory, 'millrace.config.yaml'), options.config);
  const config = loadConfig(
    {
      DATABASE_URL: testDatabase.url,
      REDIS_URL: testRedis.url,
      MILLRACE_KEY_PREFIX: testRedis.prefix,
      MILLRACE_LOG_LEVEL: process.env.TEST_LOG ?? 'silent',
      OPENAI_API_KEY: 'sk-test',
      OPENAI_BASE_URL: `${simulator.url}/openai/v1`,
      ANTHROPIC_API_KEY: 'sk-ant-test',
      ANTHROPIC_BASE_URL: `${simulator.url}/anthropic`,
      MILLRACE_RECONCILE_INTERVAL: '200ms',
      ...options.environment,
    },
    directory,
  );
  rmSync(directory, { recursive: true });
  const log = createLogger({ app: 'test', level: config.setting.MILLRACE_LOG_LEVEL });
  const services = [
    ...Array.from({ length: options.workers ?? 1 }).flatMap(() =>
      createWorker(config, log, createMetrics('worker')),
    ),
    ...createScheduler(config, log, createMetrics('scheduler')),
  ];
  for (const service of services) await service.start();

  const database = openDatabase({
    url: testDatabase.url,
    maxConnections: 2,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'test',
  });
  await ensureTenant(database, testTenant);
  const redis = connectRedis({
    url: testRedis.url,
    role: 'worker',
    name: 'test',
    onError: () => undefined,
  });
  await waitFor(() => redis.status === 'ready', { what: 'redis' });
  const producer = createProducer({
    redis,
    names: keyNames(testRedis.prefix),
    pools: [],
    onError: () => undefined,
  });

  return {
    database,
    redis,
    names: keyNames(testRedis.prefix),
    simulator,
    async submit(request, { wake = true, tenantId = testTenant } = {}) {
      const { plan, options: jobOptions } = splitJobRequest(jobRequestSchema.parse(request));
      const id = createId('job');
      await acceptJobs(database, [
        {
          id,
          tenantId,
          apiKeyId: 'test',
          idempotencyKey: randomUUID(),
          fingerprint: createHash('sha256').update(JSON.stringify(request)).digest(),
          type: plan.type,
          priority: jobOptions.priority,
          lane: jobOptions.lane,
          content: { plan, input: jobOptions.input, params: jobOptions.params ?? {} },
          metadata: {},
          webhook: null,
          requestId: 'test',
          traceparent: null,
          deadlineAt: jobOptions.deadline ? parseDeadlineAt(jobOptions.deadline, Date.now()) : null,
          maxCostMicroUsd: jobOptions.max_cost_usd ? Number(jobOptions.max_cost_usd) * 1e6 : null,
        },
      ]);
      if (wake) await producer.enqueueJobs([{ jobId: id, priority: jobOptions.priority }]);
      return id;
    },
    async ended(jobId, timeoutMs = 15_000) {
      let job: JobRecord | null = null;
      await waitFor(
        async () => {
          job = await findJob(database, testTenant, jobId);
          return job?.finishedAt != null;
        },
        { timeoutMs, intervalMs: 20, what: () => `job ${jobId} to end; it is ${JSON.stringify(job)}` },
      );
      return job!;
    },
    async steps(jobId) {
      return (await listSteps(database, { tenantId: testTenant, jobId, after: null, limit: 100 })).steps;
    },
    async stop() {
      for (const service of services.reverse()) await service.stop();
      await producer.close();
      await closeRedis(redis);
      await database.close();
      await simulator.stop();
      await testRedis.flush();
      await testDatabase.drop();
    },
  };
}
