import { createBlobStore } from '@millrace/blobs';
import type { BlobStore } from '@millrace/blobs';
import { createFleet } from '@millrace/capacity';
import { poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { PlanNode, Service } from '@millrace/contracts';
import { createKnownDurations, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { announce } from '@millrace/telemetry';
import type { Logger, Metrics } from '@millrace/telemetry';
import {
  announceRouteChange,
  createLiveFeed,
  createLivePublisher,
  createProducer,
  poolQueue,
} from '@millrace/transport';
import ownPackage from '../package.json' with { type: 'json' };
import type { Express } from 'express';
import { admit } from './auth/admit.ts';
import { createIdentify } from './auth/identify.ts';
import { createBootstrapKeyRegistration } from './auth/register-bootstrap-key.ts';
import { createRequestLimit } from './auth/request-limit.ts';
import { boardLogin } from './board/board-login.ts';
import { boardRoutes } from './board/board-routes.ts';
import { docsRoutes } from './docs/docs-routes.ts';
import { createApp } from './http/create-app.ts';
import { createHttpServer } from './http/http-server.ts';
import { acceptJob } from './intake/accept-job.ts';
import { createBackpressure } from './intake/backpressure.ts';
import { createCheckLane } from './intake/check-lane.ts';
import { createPlanCheck } from './intake/create-plan-check.ts';
import { createWakeQueue } from './intake/enqueue-wakes.ts';
import { openFitsBatch } from './intake/open-fits-batch.ts';
import { createOpenJobs } from './intake/open-jobs.ts';
import { poolsOfPlan } from './intake/pools-of-plan.ts';
import type { PoolsOf } from './intake/pools-of-plan.ts';
import { jobRoutes } from './jobs/job-routes.ts';
import { createShowJobs, newJobForecast } from './jobs/show-jobs.ts';
import { createWaitForEnd } from './jobs/wait-for-end.ts';
import { batchRoutes } from './openai-batches/batch-routes.ts';
import { createRefuseLateBatch } from './openai-batches/refuse-late-batch.ts';
import { fileRoutes } from './openai-batches/file-routes.ts';
import { createFleetPlan } from './operations/fleet-plan.ts';
import { createGauges } from './operations/gauges.ts';
import { operationsRoutes } from './operations/operations-routes.ts';
import { checkReadiness } from './operations/readiness.ts';
import { measureScaling } from './operations/scaling.ts';
import { createLongPoll } from './results/long-poll.ts';
import { createStreamEvents } from './results/stream-events.ts';
import { routingRoutes } from './routing/routing-routes.ts';
import { providerWebhookRoutes } from './provider-webhooks/routes.ts';
import { webhookRoutes } from './webhooks/routes.ts';

/** Puts the API together: what runs, in the order in which it starts. Nothing of it waits for PostgreSQL or Redis. */
export function createApi(
  config: Config,
  log: Logger,
  metrics: Metrics,
): { app: Express; services: Service[] } {
  const { setting } = config;
  const names = keyNames(setting.MILLRACE_KEY_PREFIX);
  const onError = (err: unknown): void => log.warn({ err }, 'trouble');
  const stopping = new AbortController();

  const database = open(config, onError, 'millrace-api', setting.MILLRACE_DATABASE_CONNECTIONS, 1_500);
  // What reads many rows has connections of its own: it may take longer, and must not hold up the intake.
  const listing = open(config, onError, 'millrace-api-lists', 3, 10_000);
  // What counts everything has others again: it must not wait for lists, as many of which are read as clients ask for.
  const counting = open(config, onError, 'millrace-api-counts', 2, 10_000);
  const connect = (role: 'producer' | 'subscriber') =>
    connectRedis({ url: config.redisUrl, role, name: `millrace-api-${role}`, onError });
  const [redis, subscriber] = [connect('producer'), connect('subscriber')];
  const isTransportReady = (): boolean => redis.status === 'ready';

  const pools = [...config.pools.keys()];
  const producer = createProducer({ redis, names, pools, onError });
  const publisher = createLivePublisher({ redis, names, onError });
  const feed = createLiveFeed({ subscriber, reader: redis, names, onError });
  const announcer = { producer, publisher, isTransportReady, log };

  const identify = createIdentify(database);
  const admission = {
    identify,
    takeRequest: createRequestLimit({ redis, keyPrefix: names.requestLimit, onError }),
    defaultRequestsPerMinute: setting.MILLRACE_TENANT_REQUESTS_PER_MINUTE,
  };
  const openJobs = createOpenJobs({
    database: counting,
    maxOpenJobs: setting.MILLRACE_MAX_OPEN_JOBS,
    maxOpenJobsPerTenant: setting.MILLRACE_TENANT_MAX_OPEN_JOBS,
    onError,
    now: () => performance.now(),
  });
  const fleetPlan = createFleetPlan({ fleet: createFleet({ redis, names }), onError });
  const currentPlan = () => fleetPlan.current;
  const show = createShowJobs(database, currentPlan);
  const poolsOf = createPoolsOf(config);
  const durations = createKnownDurations(listing, Date.now);
  const batching = providersWithBatches(config);
  const wakes = createWakeQueue({ producer, isReady: isTransportReady, metrics, onError });
  const longPoll = createLongPoll({ database, feed, metrics });
  const waitForEnd = createWaitForEnd(longPoll, stopping.signal);
  const streamEvents = createStreamEvents({ database, feed, log, metrics });
  stopping.signal.addEventListener('abort', () => void streamEvents.stop());
  const listedHosts = setting.MILLRACE_ALLOW_PRIVATE_WEBHOOKS;

  const app = createApp({
    log,
    metrics,
    maxBodyBytes: config.limits.maxBodyBytes,
    stopping: stopping.signal,
    admitJobs: admit(admission, 'jobs'),
    uploadRoutes: [
      fileRoutes({
        database,
        listing,
        blobs: openBlobStore(config),
        maxFileBytes: MAX_FILE_BYTES,
        maxTenantBytes: setting.MILLRACE_TENANT_MAX_FILE_BYTES,
      }),
    ],
    apiRoutes: [
      batchRoutes({
        database,
        listing,
        refuseLate: createRefuseLateBatch(currentPlan, config.scaling.boundMs),
      }),
      jobRoutes({
        ...announcer,
        database,
        listing,
        show,
        showListed: createShowJobs(listing, currentPlan),
        metrics,
        waitForEnd,
        streamEvents,
        acceptJob: acceptJob({
          database,
          openJobs,
          checkLane: createCheckLane({
            routes: config.routes,
            batching,
            durations,
            marginMs: setting.MILLRACE_BATCH_ESCAPE_MARGIN,
            onError,
          }),
          backpressure: createBackpressure({
            currentPlan,
            poolsOf,
            fitsBatch: openFitsBatch(config, { durations, batching, onError }),
            boundMs: config.scaling.boundMs,
          }),
          show,
          forecastNew: ({ priority, content }) =>
            newJobForecast(
              currentPlan(),
              { priority },
              poolsOfPlan(content.plan as PlanNode, poolsOf).flatMap((pools) => pools.slice(0, 1)),
            ),
          wakes,
          waitForEnd,
          metrics,
          requireIdempotencyKey: setting.MILLRACE_REQUIRE_IDEMPOTENCY_KEY,
          prepare: {
            checkPlan: createPlanCheck(config),
            limits: config.limits,
            listedHosts,
            now: Date.now,
          },
        }),
      }),
      webhookRoutes({
        database,
        listing,
        listedHosts,
        enqueueDelivery: (deliveryId, fence, delayMs) =>
          producer.enqueueDeliveries([{ deliveryId, fence, delayMs }]),
        log,
      }),
    ],
    admitAdmin: admit(admission, 'admin'),
    adminRoutes: [
      routingRoutes({
        database,
        routes: config.routes,
        announceChange: () => announceRouteChange(redis, names, onError),
        log,
      }),
    ],
    openRoutes: [
      providerWebhookRoutes({ database, providers: config.providers }),
      operationsRoutes({
        metrics,
        readGauges: createGauges({ database: counting, producer, isTransportReady, metrics, log }),
        checkReadiness: () =>
          checkReadiness({ database, pingTransport: () => redis.ping(), stopping: stopping.signal }),
        measureScaling: () =>
          measureScaling({
            database: counting,
            pools,
            plan: fleetPlan.current,
            workerConcurrency: setting.MILLRACE_WORKER_CONCURRENCY,
            countWorkers: async (pool) => {
              const queue = producer.queues.find((each) => each.name === poolQueue(pool));
              return queue && isTransportReady() ? queue.getWorkersCount().catch(() => null) : null;
            },
          }),
        admitAdmin: admit(admission, 'admin'),
      }),
    ],
    docsRoutes: docsRoutes(ownPackage.version),
    boardLogin: boardLogin(identify),
    board: boardRoutes({ producer, readOnly: setting.MILLRACE_BOARD_READ_ONLY }),
  });

  const services: Service[] = [
    {
      name: 'connections',
      async start() {},
      async stop() {
        await producer.close().catch(onError);
        const ledger = [database, listing, counting].map((each) => each.close());
        await Promise.all([closeRedis(redis), closeRedis(subscriber), ...ledger]);
      },
    },
    feed,
    createBootstrapKeyRegistration({ database, key: setting.MILLRACE_BOOTSTRAP_KEY, log }),
    openJobs,
    fleetPlan,
    wakes,
    createHttpServer({
      host: setting.MILLRACE_HOST,
      port: setting.MILLRACE_PORT,
      graceMs: setting.MILLRACE_SHUTDOWN_GRACE,
      handle: app,
      isUpload: ({ method, url = '' }) => method === 'POST' && /^\/v1\/files\/?(\?|$)/i.test(url),
      onListening: (url) => announce(log, { url }, 'listening'),
      stopping,
    }),
  ];
  return { app, services };
}

/** As OpenAI's: what a file of a batch may have. */
const MAX_FILE_BYTES = 200 * 1024 * 1024;

function openBlobStore({ setting }: Config): BlobStore {
  return createBlobStore({
    address: setting.MILLRACE_BLOB_STORE,
    s3: {
      endpoint: setting.MILLRACE_BLOB_S3_ENDPOINT,
      region: setting.MILLRACE_BLOB_S3_REGION,
      accessKeyId: setting.MILLRACE_BLOB_S3_ACCESS_KEY_ID,
      secretAccessKey: setting.MILLRACE_BLOB_S3_SECRET_ACCESS_KEY,
    },
  });
}

function open(
  config: Config,
  onIdleError: (error: Error) => void,
  applicationName: string,
  maxConnections: number,
  statementTimeoutMs: number,
): Database {
  return openDatabase({
    url: config.databaseUrl,
    maxConnections,
    connectTimeoutMs: 1_500,
    statementTimeoutMs,
    applicationName,
    onIdleError,
  });
}

/** Which pools a call may go to: its own first, then those of its route's other targets and fallbacks. */
function createPoolsOf(config: Config): PoolsOf {
  return (reference) => [
    ...new Set(targetsOf(config, reference).map((target) => poolOf(config.pools, target))),
  ];
}

/** The targets that a call may go to. */
function targetsOf({ routes }: Config, { route: name, model }: Parameters<PoolsOf>[0]): readonly string[] {
  const route = name === undefined ? undefined : routes.get(name);
  const targets = route ? [...route.targets.map(({ target }) => target), ...route.fallback] : [];
  return model === undefined ? targets : [model];
}

/** Servers of one's own that speak OpenAI's dialect have no batch API that could be relied on. */
function providersWithBatches({ providers }: Config): ReadonlySet<string> {
  const withBatches = [...providers.values()].filter(({ kind }) => kind !== 'openai_compatible');
  return new Set(withBatches.map(({ name }) => name));
}
