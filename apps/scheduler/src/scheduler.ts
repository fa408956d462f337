import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createCapacityBook, createFleet } from '@millrace/capacity';
import { poolOf, tokensPerMinuteOf, weightOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { ScalingPlan, Service } from '@millrace/contracts';
import {
  closeLostAttempts,
  findLastSequence,
  holdLease,
  measureBacklog,
  openDatabase,
  pruneJobs,
  releaseLease,
} from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { announce, closeOnStop, createOperationsServer, createRepeat } from '@millrace/telemetry';
import type { Logger, Metrics } from '@millrace/telemetry';
import { createLivePublisher, createProducer, hasEpoch, markEpoch } from '@millrace/transport';
import { ageEveryMs } from './ageing-bound.ts';
import { openBatchLane } from './batch-lane/open-lane.ts';
import { openClientBatches } from './client-batches/open-client-batches.ts';
import { createLeadership, renewEveryMs } from './leadership.ts';
import { createLedgerSilence } from './ledger-silence.ts';
import { raiseAgedSteps } from './raise-aged-steps.ts';
import { createReconciler } from './reconcile.ts';
import { createFleetPlanner } from './scaling/plan-fleet.ts';
import { showPlan } from './scaling/show-plan.ts';

const LEADER = 'scheduler';
const PRUNE_EVERY_MS = 60_000;
/** A burst is answered within two seconds: one until it is seen here, one until the workers hear of it. */
const PLAN_EVERY_MS = 1_000;
/** An older one, of a scheduler that could not plan, holds nobody back. */
const PLAN_LASTS_MS = 30_000;
/** A worker reports an aborted call within its heartbeat; a ledger outage may come on top. */
const LOST_AFTER_MS = 120_000;
const PRUNE_AT_A_TIME = 500;
/** A worker renews every 4 s: after a silence that is shorter none of its leases has run out. */
const OUTAGE_MS = 4_000;
/** The numbers of a class last for hours; the half that is left when they are taken down, too. */
const MAKE_ROOM_EVERY_MS = 5_000;

/** Puts the scheduler together: what runs, in the order in which it starts. */
export function createScheduler(config: Config, log: Logger, metrics: Metrics): Service[] {
  const { setting } = config;
  const names = keyNames(setting.MILLRACE_KEY_PREFIX);
  const holder = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const onError = (err: unknown): void => log.warn({ err }, 'trouble');
  const database = openDatabase({
    url: config.databaseUrl,
    maxConnections: setting.MILLRACE_DATABASE_CONNECTIONS,
    connectTimeoutMs: 2_000,
    statementTimeoutMs: 10_000,
    applicationName: 'millrace-scheduler',
    onIdleError: onError,
  });
  const redis = connectRedis({ url: config.redisUrl, role: 'producer', name: 'millrace-scheduler', onError });
  const producer = createProducer({
    redis,
    names,
    pools: [...config.pools.keys()],
    weightOf: (tier) => weightOf(config.tiers, tier),
    tokensPerMinuteOf: (pool) => tokensPerMinuteOf(config.pools, pool),
    onError,
  });

  const silence = createLedgerSilence({
    now: Date.now,
    askedEveryMs: renewEveryMs(setting.MILLRACE_LEADER_LEASE),
    outageMs: OUTAGE_MS,
    leaseMs: setting.MILLRACE_LEASE,
  });
  const leadership = createLeadership({
    leaseMs: setting.MILLRACE_LEADER_LEASE,
    hold: () => holdLease(database, LEADER, holder, setting.MILLRACE_LEADER_LEASE),
    release: () => releaseLease(database, LEADER, holder),
    heard: silence.heard,
    onChange: (leads) => {
      metrics.leader.set(leads ? 1 : 0);
      if (!leads) showPlan(metrics, null);
      log.info({ leader: leads, holder }, leads ? 'leads' : 'follows');
    },
    onError,
    now: Date.now,
  });
  const reconciler = createReconciler({
    database,
    producer,
    transportIsWhole: () => hasEpoch(redis, names),
    // A worker of any pool finds out that a step's provider is gone.
    poolOf: ({ pool, target }) =>
      [pool, poolOf(config.pools, target), ...config.pools.keys()].find((each) => config.pools.has(each)) ??
      pool,
    markTransport: () => markEpoch(redis, names, holder),
    onLoss: (count) => {
      if (count === 0) return;
      metrics.transportLosses.inc();
      log.warn({ count }, 'redis has lost its content: everything that waits is put back');
    },
    onReconciled: (kind, count) => {
      if (count === 0) return;
      metrics.reconciled.inc({ kind }, count);
      log.info({ name: kind, count }, 'reconciled');
    },
    silence,
    leaseMs: setting.MILLRACE_LEASE,
  });
  const when = (): boolean => leadership.leads;
  const publisher = createLivePublisher({
    redis,
    names,
    onError,
    findLastSequence: (jobId) => findLastSequence(database, jobId),
  });
  const domains = new Map([...config.pools].map(([pool, { limits }]) => [pool, limits]));
  let planned: { plan: ScalingPlan; at: number } | null = null;
  const planFleet = createFleetPlanner({
    pools: [...config.pools.keys()],
    domains,
    fleet: createFleet({ redis, names }),
    book: createCapacityBook({ redis, names, domains, onError }),
    measureBacklog: () => measureBacklog(database),
    policy: config.scaling,
    processCapacity: setting.MILLRACE_WORKER_CONCURRENCY,
    onPlanned: (plan) => {
      planned = { plan, at: Date.now() };
      showPlan(metrics, plan);
    },
    now: Date.now,
    monotonicNow: () => performance.now(),
  });

  return [
    closeOnStop('database', () => database.close()),
    closeOnStop('redis', async () => {
      await producer.close();
      await closeRedis(redis);
    }),
    createOperationsServer({
      host: setting.MILLRACE_HOST,
      port: setting.MILLRACE_OPERATIONS_PORT,
      metrics,
      problems: async () => {
        await database.query('SELECT 1');
        return redis.status === 'ready' ? [] : ['redis cannot be reached'];
      },
      onListening: (url) => announce(log, { url }, 'listening'),
    }),
    leadership,
    createRepeat({
      name: 'reconciler',
      everyMs: setting.MILLRACE_RECONCILE_INTERVAL,
      when,
      work: () => reconciler.sweep(),
      onError,
    }),
    createRepeat({
      name: 'fleet plan',
      everyMs: PLAN_EVERY_MS,
      when,
      work: planFleet,
      onError,
    }),
    ...openClientBatches({
      config,
      database,
      producer,
      publisher,
      currentPlan: () => (planned && Date.now() - planned.at < PLAN_LASTS_MS ? planned.plan : null),
      when,
      metrics,
      log,
      onError,
    }),
    ...openBatchLane({ config, database, producer, publisher, holder, when, metrics, log, onError }),
    createRepeat({
      name: 'closing of lost attempts',
      everyMs: PRUNE_EVERY_MS,
      when,
      work: async () => {
        const count = await closeLostAttempts(database, LOST_AFTER_MS, PRUNE_AT_A_TIME);
        if (count > 0) log.warn({ count }, 'closed attempts whose worker never reported');
      },
      onError,
    }),
    createRepeat({
      name: 'ageing',
      everyMs: ageEveryMs(config.ageing),
      when,
      work: async () => {
        const count = await raiseAgedSteps({ database, producer, limits: config.ageing, when });
        if (count === 0) return;
        metrics.stepsRaised.inc(count);
        log.info({ count }, 'raised steps that had waited for long');
      },
      onError,
    }),
    createRepeat({
      name: 'room in the order',
      everyMs: MAKE_ROOM_EVERY_MS,
      when,
      work: async () => {
        const count = await producer.makeRoom();
        if (count > 0) log.info({ count }, 'renumbered wakes');
      },
      onError,
    }),
    createRepeat({
      name: 'pruning',
      everyMs: PRUNE_EVERY_MS,
      when,
      work: async () => {
        let count: number;
        do {
          count = await pruneJobs(database, setting.MILLRACE_JOB_RETENTION, PRUNE_AT_A_TIME);
          if (count > 0) log.info({ count }, 'pruned jobs');
        } while (count === PRUNE_AT_A_TIME && when());
      },
      onError,
    }),
  ];
}
