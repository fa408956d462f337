import type { BlobStore } from '@millrace/blobs';
import { createBlobStore } from '@millrace/blobs';
import { createFindOversize } from '@millrace/capacity';
import { createFindDimensions, createFindUnembeddable, createFindUnsampled, poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { PlanNode, ScalingPlan, Service } from '@millrace/contracts';
import { createProviders } from '@millrace/calls';
import { findAbandonedFiles, findOpenClientBatches, forgetFiles, pruneClientBatches } from '@millrace/ledger';
import type { Database, OpenClientBatch } from '@millrace/ledger';
import { checkPlan, createOutputValidators } from '@millrace/plans';
import { createRepeat } from '@millrace/telemetry';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { LivePublisher, Producer } from '@millrace/transport';
import { createBatchSlots } from './batch-slots.ts';
import { createHoldBack } from './hold-back.ts';
import { openFitsBatch } from './open-fits-batch.ts';
import { moveBatch } from './move-batch.ts';
import type { MoveOptions } from './move-batch.ts';
import { createResolveModel } from './resolve-model.ts';

/** What the batches of the OpenAI-compatible routes need of the scheduler. */
export interface ClientBatchesOptions {
  config: Config;
  database: Database;
  producer: Producer;
  publisher: LivePublisher;
  /** The fleet's plan, while it is new enough to go by. */
  currentPlan: () => ScalingPlan | null;
  /** Whether this process leads. */
  when: () => boolean;
  metrics: Metrics;
  log: Logger;
  onError: (error: unknown) => void;
}

const LOOK_EVERY_MS = 500;
const MOST_BATCHES = 1_000;
const TIDY_EVERY_MS = 30_000;
const TIDY_AT_A_TIME = 200;

/** The services that validate clients' batches, run them, write their results, and remove what is not kept any longer. */
export function openClientBatches(options: ClientBatchesOptions): Service[] {
  const { config, database, when, log, onError } = options;
  const blobs = openBlobStore(config);
  let stopping = false;
  const move = createMoveOptions(options, blobs, () => when() && !stopping);
  const slots = createBatchSlots({
    find: () => findOpenClientBatches(database, MOST_BATCHES),
    move: (batch) => moveBatch(batch, move),
    mayGoOn: move.mayGoOn,
    onFailure: (batch, err, retryMs) =>
      log.warn(
        { batch: batch.id, tenant: batch.tenantId, retry_after_ms: retryMs, err },
        'a batch could not go on',
      ),
    now: () => performance.now(),
  });
  const batches = createRepeat({
    name: 'client batches',
    everyMs: LOOK_EVERY_MS,
    when,
    work: () => slots.look(),
    onError,
  });
  return [
    {
      ...batches,
      async stop() {
        stopping = true;
        await batches.stop();
        await slots.settle();
      },
    },
    createRepeat({
      name: 'tidying of client files',
      everyMs: TIDY_EVERY_MS,
      when,
      work: async () => {
        await removeFiles(database, blobs, log);
        await pruneClientBatches(database, config.setting.MILLRACE_JOB_RETENTION, TIDY_AT_A_TIME);
      },
      onError,
    }),
  ];
}

/** First the blob, then the row that knows of it: what goes wrong in between is done again. */
async function removeFiles(database: Database, blobs: BlobStore, log: Logger): Promise<void> {
  for (;;) {
    const ids = await findAbandonedFiles(database, TIDY_AT_A_TIME);
    for (const id of ids) await blobs.remove(id);
    if (ids.length > 0) {
      await forgetFiles(database, ids);
      log.info({ count: ids.length }, 'removed files');
    }
    if (ids.length < TIDY_AT_A_TIME) return;
  }
}

function createMoveOptions(
  { config, database, producer, publisher, currentPlan, metrics, log, onError }: ClientBatchesOptions,
  blobs: BlobStore,
  mayGoOn: () => boolean,
): MoveOptions {
  const validators = createOutputValidators({ maxEntries: 500 });
  const { limits, setting } = config;
  const { catalogue } = createProviders(config);
  const findOversize = createFindOversize(config, (target) => poolOf(config.pools, target));
  const findUnembeddable = createFindUnembeddable(config);
  const findDimensions = createFindDimensions(config);
  const findUnsampled = createFindUnsampled(config);
  const told = (work: Promise<unknown>): Promise<void> => work.then(() => undefined, onError);
  const deliver = (deliveryIds: readonly string[]): Promise<void> =>
    told(producer.enqueueDeliveries(deliveryIds.map((deliveryId) => ({ deliveryId, fence: 0, delayMs: 0 }))));
  return {
    database,
    blobs,
    mayGoOn,
    now: Date.now,
    missingSince: new Map(),
    holdBack: createHoldBack(config, currentPlan, openFitsBatch(config, { database, catalogue, onError })),
    maxLineBytes: limits.maxBodyBytes,
    maxOpenJobsPerTenant: setting.MILLRACE_TENANT_MAX_OPEN_JOBS,
    resolveModel: createResolveModel(config, catalogue),
    checkPlan: (plan: PlanNode) => {
      const check = checkPlan(plan, {
        limits,
        isKnownTarget: () => true,
        findOversize,
        findUnembeddable,
        findDimensions,
        findUnsampled,
        validators,
      });
      return check.ok ? [] : check.errors;
    },
    wake: (jobs) => told(producer.enqueueJobs(jobs)),
    announceCancelled: async (jobs) => {
      for (const { type, status, seconds } of jobs.values()) {
        metrics.jobsEnded.inc({ type, status });
        metrics.jobSeconds.observe({ type }, seconds);
      }
      // Where no step was open, no worker can be at it.
      const underWay = [...jobs].filter(([, { droppedSteps }]) => droppedSteps > 0);
      await told(Promise.all(underWay.map(([jobId]) => publisher.publishCancel(jobId))));
      const ended = [...jobs.values()];
      await told(publisher.publishEvents(ended.flatMap(({ events }) => events)));
      await deliver(ended.flatMap(({ deliveryIds }) => deliveryIds));
    },
    deliver,
    onEnded: (batch: OpenClientBatch, status: string) => {
      log.info(
        { batch: batch.id, tenant: batch.tenantId, request_id: batch.requestId, status, count: batch.total },
        'a batch ended',
      );
    },
  };
}

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
