import { lookup } from 'node:dns';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { createBatchPorts, createProviders, isListed, splitTarget } from '@millrace/calls';
import { createFleet } from '@millrace/capacity';
import { poolOf, tokensPerMinuteOf, weightOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { Service } from '@millrace/contracts';
import { createKnownDurations, findEarlierAnswer, findLastSequence, renewClaims } from '@millrace/ledger';
import { createOutputValidators, createSplitCache, defaultPlanLimits } from '@millrace/plans';
import { closeRedis, keyNames } from '@millrace/redis';
import { announce, closeOnStop, createOperationsServer } from '@millrace/telemetry';
import type { Logger, Metrics } from '@millrace/telemetry';
import { createLiveFeed, createLivePublisher, createProducer } from '@millrace/transport';
import { createCallConsumers } from './calls/create-call-consumers.ts';
import { createClaims } from './calls/claims.ts';
import { createLedgerGateway } from './calls/ledger-gateway.ts';
import { openBook } from './calls/open-book.ts';
import { createCallReporter } from './calls/report-call.ts';
import { createShutPools } from './calls/shut-pools.ts';
import { createRetryBudget } from './calls/retry-budget.ts';
import { runCall } from './calls/run-call.ts';
import type { RunCallDependencies } from './calls/run-call.ts';
import { createFleetMember } from './fleet/fleet-member.ts';
import { createPoolMeter } from './fleet/pool-meter.ts';
import { createAdvancer } from './jobs/create-advancer.ts';
import { createJobConsumer } from './jobs/create-job-consumer.ts';
import { createLanePlacer } from './jobs/lane-placer.ts';
import type { AdvanceDependencies } from './jobs/create-advancer.ts';
import { createMovingAverages } from './moving-averages.ts';
import { openRouting } from './routing/open-routing.ts';
import { openStores } from './open-stores.ts';
import { createPatience } from './patience.ts';
import { createTaskGroup } from './task-group.ts';
import { createWorkStop } from './work-stop.ts';
import { createDeliveryConsumer } from './webhooks/create-delivery-consumer.ts';
import { defaultDeliverySettings, deliverWebhook } from './webhooks/deliver.ts';
import type { DeliveryDependencies } from './webhooks/deliver.ts';

/** What one advance may render; it is escaped twice on its way into the ledger, and nothing else runs meanwhile. */
const MOST_RENDERED_CHARACTERS = 32_000_000;

/** Puts the worker together: what runs, in the order in which it starts. */
export function createWorker(config: Config, log: Logger, metrics: Metrics): Service[] {
  const { setting } = config;
  const names = keyNames(setting.MILLRACE_KEY_PREFIX);
  // A process that starts again in its container has the number of the one that died, and must not count as the same.
  const worker = `${hostname()}-${randomUUID().slice(0, 8)}-${process.pid}`;
  const onError = (err: unknown): void => log.warn({ err }, 'trouble');

  const onEnqueueError = (err: unknown): void => {
    metrics.enqueueFailures.inc({ queue: 'worker' });
    onError(err);
  };

  const { database, heartbeats, redis } = openStores(config, onError);

  const { providers, catalogue } = createProviders(config);
  const pools = [...config.pools.values()]
    .filter(({ provider }) => providers.has(provider))
    .map(({ name }) => name);
  const isUsable = (target: string): boolean => providers.has(splitTarget(target).provider);
  const poolOfTarget = (target: string): string => poolOf(config.pools, target);
  const producer = createProducer({
    redis: redis.producer,
    names,
    pools,
    weightOf: (tier) => weightOf(config.tiers, tier),
    tokensPerMinuteOf: (pool) => tokensPerMinuteOf(config.pools, pool),
    onError,
  });
  const publisher = createLivePublisher({
    redis: redis.producer,
    names,
    onError,
    findLastSequence: (jobId) => findLastSequence(database, jobId),
  });
  const feed = createLiveFeed({ subscriber: redis.subscriber, reader: redis.producer, names, onError });
  const leaseMs = setting.MILLRACE_LEASE;
  const claims = createClaims({
    leaseMs,
    renew: (steps) => renewClaims(heartbeats, steps, leaseMs),
    onError,
  });

  // Clients name models, so only those that routes or the price catalogue know become labels.
  const labelOf = (target: string): string =>
    isListed(config, providers, catalogue, target) ? target : `${splitTarget(target).provider}/other`;
  const { capacity, breakers, estimator, renewal } = openBook({
    redis: redis.producer,
    names,
    pools: config.pools,
    leaseMs,
    log,
    metrics,
    labelOf,
    onError,
  });
  const [usualDurations, usualOutputs] = [createMovingAverages(), createMovingAverages()];
  const routing = openRouting({
    config,
    database,
    producer,
    redis: redis.producer,
    subscriber: redis.subscriber,
    names,
    capacity,
    breakers,
    isUsable,
    poolOf: poolOfTarget,
    usualOutputTokens: (asked) => usualOutputs.of(asked),
    onLastResort: () => metrics.degradedSteps.inc({ how: 'cheapest' }),
    onError,
  });
  const { router } = routing;

  const advancing: AdvanceDependencies = {
    database,
    producer,
    publisher,
    claims,
    lanes: createLanePlacer({
      durations: createKnownDurations(database, Date.now),
      providers,
      batching: new Set(createBatchPorts(config, catalogue).keys()),
      catalogue,
      routes: config.routes,
      collectAgeMs: setting.MILLRACE_BATCH_COLLECT_AGE,
      marginMs: setting.MILLRACE_BATCH_ESCAPE_MARGIN,
      callTimeoutMs: setting.MILLRACE_CALL_TIMEOUT,
      now: Date.now,
    }),
    router,
    limits: {
      ...defaultPlanLimits,
      maxMapChunks: config.limits.maxMapChunks,
      maxTextCharacters: config.limits.maxTextCharacters,
      defaultMaxOutputTokens: config.limits.defaultMaxOutputTokens,
      maxRenderedCharacters: MOST_RENDERED_CHARACTERS,
    },
    splits: createSplitCache({ maxCharacters: 32_000_000 }),
    onFinished: (finished) => {
      metrics.jobsEnded.inc({ type: finished.type, status: finished.status });
      metrics.jobSeconds.observe({ type: finished.type }, finished.seconds);
    },
    onError: onEnqueueError,
  };
  const reportCall = createCallReporter(log, metrics, labelOf);
  const meter = createPoolMeter(pools);
  const ledger = createLedgerGateway(database, worker, leaseMs);
  const advanceJob = createAdvancer(advancing);
  const tasks = createTaskGroup(onError);
  const pausePool = (pool: string, forMs: number): void => consumers.get(pool)?.pauseFor(forMs);
  const calling: RunCallDependencies = {
    ...ledger,
    claimStep: (wake) => meter.timed('claim', () => ledger.claimStep(wake)),
    markSent: (departure) => meter.timed('departure', () => ledger.markSent(departure)),
    worker,
    providers,
    catalogue,
    defaultMaxOutputTokens: config.limits.defaultMaxOutputTokens,
    callTimeoutMs: setting.MILLRACE_CALL_TIMEOUT,
    now: Date.now,
    advanceJob: (jobId) => tasks.run(() => advanceJob(jobId)),
    inBackground: (task) => tasks.run(task),
    enqueueStep: (wake) => producer.enqueueSteps([wake]).catch(onEnqueueError),
    enqueueDeliveries: (ids) => producer.enqueueDeliveries(ids.map(toDeliveryWake)).catch(onEnqueueError),
    claims,
    capacity,
    breakers,
    estimator,
    usualDurationMs: (target) => usualDurations.of(target) ?? 0,
    pausePool,
    shutPools: createShutPools({ pausePool, now: () => performance.now() }),
    retryBudget: createRetryBudget({ share: 0.1, most: 10, trickleMs: 1_000, now: Date.now }),
    publisher,
    validators: createOutputValidators({ maxEntries: 500 }),
    router,
    findEarlierAnswer: ({ tenantId }, requestHash, withinMs) =>
      findEarlierAnswer(database, { tenantId, requestHash, withinMs }),
    policy: config.retry,
    poolOf: poolOfTarget,
    report: (report) => {
      const { step, passage } = report;
      if (passage.sentAt !== null && passage.endedAt !== null && passage.happening.kind === 'answered') {
        usualDurations.note(step.target, passage.endedAt - passage.sentAt);
        if (passage.attempt?.usage)
          usualOutputs.note(step.route ?? step.target, passage.attempt.usage.outputTokens);
      }
      if (passage.sentAt !== null) meter.note(step.pool, Date.now() - passage.sentAt);
      reportCall(report);
    },
    onError,
    random: Math.random,
    monotonicNow: () => performance.now(),
    pause: (ms) => pause(ms),
  };

  const delivering: DeliveryDependencies = {
    database,
    enqueueDelivery: (id, fence, delayMs) => producer.enqueueDeliveries([{ deliveryId: id, fence, delayMs }]),
    log,
    onTry: ({ outcome, durationMs }) => {
      metrics.deliveries.inc({ outcome });
      metrics.deliverySeconds.observe(durationMs / 1_000);
    },
    now: Date.now,
    random: Math.random,
    lookup,
    settings: { ...defaultDeliverySettings, listedHosts: setting.MILLRACE_ALLOW_PRIVATE_WEBHOOKS },
  };

  const stopping = new AbortController();
  const patiently = createPatience({ stopping: stopping.signal, onError });
  const consuming = { redis: redis.consumer, names, onError };
  const jobs = createJobConsumer({
    ...consuming,
    database,
    advanceJob: (jobId, options) => patiently(() => advanceJob(jobId, options)),
    onFinished: advancing.onFinished,
    publisher,
    enqueueDeliveries: calling.enqueueDeliveries,
  });
  const webhooks = createDeliveryConsumer({
    ...consuming,
    deliver: (deliveryId) => patiently(async () => void (await deliverWebhook(delivering, deliveryId))),
  });
  const consumers = createCallConsumers({
    ...consuming,
    pools,
    concurrency: setting.MILLRACE_WORKER_CONCURRENCY,
    meter,
    callsUnderWay: metrics.callsUnderWay,
    runCall: (wake, place) => patiently(() => runCall(calling, wake, place)),
  });

  return [
    closeOnStop('database', async () => {
      await Promise.all([database.close(), heartbeats.close()]);
    }),
    closeOnStop('redis', async () => {
      await producer.close();
      await Promise.all(Object.values(redis).map(closeRedis));
    }),
    createOperationsServer({
      host: setting.MILLRACE_HOST,
      port: setting.MILLRACE_OPERATIONS_PORT,
      metrics,
      problems: async () => {
        await database.query('SELECT 1');
        return redis.consumer.status === 'ready' ? [] : ['redis cannot be reached'];
      },
      onListening: (url) => announce(log, { url }, 'listening'),
    }),
    feed,
    {
      name: 'cancel signals',
      start: () => feed.onCancel((jobId, keys) => claims.abortJob(jobId, keys)),
      stop: () => Promise.resolve(),
    },
    claims,
    renewal,
    ...routing.services,
    createWorkStop({
      consumers: [jobs, webhooks, ...consumers.values()],
      claims,
      tasks,
      stopping,
      graceMs: setting.MILLRACE_SHUTDOWN_GRACE,
      onStarted: () =>
        log.info({ worker, pools, concurrency: setting.MILLRACE_WORKER_CONCURRENCY }, 'working'),
    }),
    // Last, and so the first to stop: a worker that ends its calls leaves its share to the others.
    createFleetMember({
      fleet: createFleet({ redis: redis.producer, names }),
      worker,
      capacity: setting.MILLRACE_WORKER_CONCURRENCY,
      meter,
      consumers,
      onError,
    }),
  ];
}

function toDeliveryWake(deliveryId: string) {
  return { deliveryId, fence: 0, delayMs: 0 };
}
