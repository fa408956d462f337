import { createProviders } from '@millrace/calls';
import { loadConfig } from '@millrace/config';
import type { Charge } from '@millrace/contracts';
import { claimBatches, createKnownDurations, migrate } from '@millrace/ledger';
import type { BatchRecord, Placement, StoredEvent } from '@millrace/ledger';
import { createOutputValidators } from '@millrace/plans';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { createTestDatabase } from '@millrace/test-support';
import { openTestLedger } from '../../../../../libs/ledger/src/testing/open-test-ledger.ts';
import type { TestLedger } from '../../../../../libs/ledger/src/testing/open-test-ledger.ts';
import type { NewJob } from '../../../../../libs/ledger/src/jobs/accept-jobs.ts';
import { advanceBatch } from '../advance-batch.ts';
import { collect } from '../collect.ts';
import { escapeLate } from '../escape.ts';
import type { LaneDependencies, LaneSettings } from '../lane-dependencies.ts';
import { createLeftovers } from '../leftovers.ts';
import { createScriptedVendor } from './scripted-vendor.ts';
import type { ScriptedVendor } from './scripted-vendor.ts';

export const target = 'openai/gpt-6-luna';

/** The lane on a real ledger and a scripted vendor; a test moves it step by step. */
export interface TestLane {
  ledger: TestLedger;
  vendor: ScriptedVendor;
  dependencies: LaneDependencies;
  /** Steps that were woken in realtime and who paid for them, jobs that were woken, events that were published, and errors that were reported. */
  heard: {
    steps: string[];
    charges: (Charge | null)[];
    jobs: Set<string>;
    events: StoredEvent[];
    errors: unknown[];
  };
  /** A job that waits for steps of the batch lane. */
  addJob(keys?: readonly string[], change?: Partial<NewJob>, placement?: Partial<Placement>): Promise<string>;
  collect(): Promise<void>;
  escape(): Promise<void>;
  /** Lets every batch that is not ended be looked at now, once. */
  advance(): Promise<void>;
  batches(): Promise<Record<string, unknown>[]>;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  close(): Promise<void>;
}

export async function openTestLane(settings: Partial<LaneSettings> = {}): Promise<TestLane> {
  const own = await createTestDatabase({ migrate });
  const ledger = await openTestLedger(own.url, { maxConnections: 4, connectTimeoutMs: 30_000 });
  const { database } = ledger;
  const config = loadConfig(
    { DATABASE_URL: own.url, REDIS_URL: 'redis://127.0.0.1:1', OPENAI_API_KEY: 'sk-test' },
    '/nonexistent',
  );
  const { providers, catalogue } = createProviders(config);
  const vendor = createScriptedVendor();
  const metrics = createMetrics('scheduler');
  const heard: TestLane['heard'] = { steps: [], charges: [], jobs: new Set(), events: [], errors: [] };
  const dependencies: LaneDependencies = {
    database,
    producer: {
      enqueueSteps: async (wakes: readonly { jobId: string; key: string; charge: Charge | null }[]) => {
        heard.charges.push(...wakes.map((wake) => wake.charge));
        heard.steps.push(...wakes.map((wake) => `${wake.jobId} ${wake.key}`));
      },
      enqueueJobs: async (wakes: readonly { jobId: string }[]) =>
        wakes.forEach((wake) => heard.jobs.add(wake.jobId)),
      enqueueDeliveries: async () => undefined,
    } as unknown as LaneDependencies['producer'],
    publisher: {
      publishEvents: async (events: readonly StoredEvent[]) => void heard.events.push(...events),
    } as unknown as LaneDependencies['publisher'],
    ports: new Map([['openai', vendor]]),
    leftovers: createLeftovers({
      now: () => dependencies.now(),
      random: () => 0.5,
      onError: (error) => heard.errors.push(error),
    }),
    providers,
    catalogue,
    validators: createOutputValidators({ maxEntries: 10 }),
    defaultMaxOutputTokens: 100,
    callTimeoutMs: 1_000,
    routes: config.routes,
    pools: config.pools,
    policy: config.retry,
    poolOf: () => 'openai',
    holder: 'this scheduler',
    settings: {
      collectAgeMs: 0,
      maxLines: 10_000,
      pilotFrom: 1_000_000,
      longestPollMs: 1_000,
      listLagMs: 5_000,
      ...settings,
    },
    metrics,
    log: createLogger({ app: 'test', level: process.env['TEST_LOG'] ?? 'silent' }),
    onError: (error) => heard.errors.push(error),
    now: Date.now,
    random: () => 0.5,
  };
  const durations = createKnownDurations(database, Date.now);
  const signal = new AbortController().signal;
  const claimAll = async (): Promise<BatchRecord[]> => {
    await database.query(
      "UPDATE provider_batches SET wake_at = now() - interval '1 second' WHERE wake_at IS NOT NULL",
    );
    return claimBatches(database, dependencies.holder, 60_000, 100);
  };
  return {
    ledger,
    vendor,
    dependencies,
    heard,
    addJob: (keys = ['call'], change = {}, placement = {}) =>
      ledger.addJob(
        { lane: 'batch', ...change },
        keys.map((key) => ({
          key,
          target,
          placement: { lane: 'batch', reason: 'asked_for', escapeAt: null, shape: 'a shape', ...placement },
        })),
      ),
    collect: () => collect(dependencies, durations),
    escape: () => escapeLate(dependencies),
    async advance() {
      for (const batch of await claimAll()) await advanceBatch(dependencies, batch, { durations, signal });
    },
    batches: () => database.query('SELECT * FROM provider_batches ORDER BY created_at, id'),
    async metric(name, labels = {}) {
      const metric = await metrics.registry.getSingleMetric(`millrace_${name}`)?.get();
      const values = metric?.values.filter((each) =>
        Object.entries(labels).every(([label, value]) => each.labels[label] === value),
      );
      return values?.reduce((sum, each) => sum + each.value, 0) ?? 0;
    },
    async close() {
      await ledger.close();
      await own.drop();
    },
  };
}
