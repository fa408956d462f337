import { ProblemError, isTerminal } from '@millrace/contracts';
import type { JobObject, PlanNode } from '@millrace/contracts';
import { crashPoint, hasDefect } from '@millrace/faults';
import { findAccepted, findJob } from '@millrace/ledger';
import type { AcceptResult, Database, JobForecast, NewJob } from '@millrace/ledger';
import type { Metrics } from '@millrace/telemetry';
import type { Request, RequestHandler, Response } from 'express';
import { appliedWait, preferredWaitMs } from '../http/prefer-wait.ts';
import { contextOf, identityOf } from '../http/request-context.ts';
import type { Identity } from '../http/request-context.ts';
import type { ShowJobs } from '../jobs/show-jobs.ts';
import type { WaitForEnd } from '../jobs/wait-for-end.ts';
import type { Backpressure } from './backpressure.ts';
import type { CheckLane } from './check-lane.ts';
import { createCommit } from './commit-jobs.ts';
import type { WakeQueue } from './enqueue-wakes.ts';
import { readIdempotencyKey } from './idempotency-key.ts';
import { newJobObject } from './new-job-object.ts';
import type { OpenJobs } from './open-jobs.ts';
import { fingerprintOf, prepareJob } from './prepare-job.ts';
import type { JobOrigin, PrepareOptions } from './prepare-job.ts';
import { readTraceparent } from './traceparent.ts';

export interface AcceptJobOptions {
  database: Database;
  openJobs: OpenJobs;
  checkLane: CheckLane;
  backpressure: Backpressure;
  show: ShowJobs;
  /** What a job that was committed this instant may expect. */
  forecastNew: (job: NewJob) => JobForecast;
  wakes: WakeQueue;
  waitForEnd: WaitForEnd;
  metrics: Metrics;
  requireIdempotencyKey: boolean;
  prepare: PrepareOptions;
}

/** When a client may look for the first time; most calls take longer. */
const FIRST_LOOK_S = 1;
const IN_PROGRESS_RETRY_MS = 1_000;

/**
 * `POST /v1/jobs`: prepares the job, commits it (requests that arrive together share one transaction, which also decides
 * idempotency), hands its wake to the transport, answers 202.
 */
export function acceptJob(options: AcceptJobOptions): RequestHandler {
  const commit = createCommit(options.database);

  return async (request, response) => {
    const origin = readOrigin(request, response, options);
    const job = await prepareOrReplay(request.body, identityOf(response), origin, options);
    if ('replayOf' in job) return answerReplay(request, response, options, job.replayOf);

    crashPoint('intake.before-commit', [job.id, origin.idempotencyKey]);
    const result = await commit(job);
    crashPoint('intake.after-commit', job.id);
    options.metrics.jobsAccepted.inc({ type: job.type, priority: job.priority, outcome: result.outcome });
    if (result.outcome === 'reused') throw keyReused();
    if (result.outcome === 'in_progress') throw keyInProgress();
    if (result.outcome === 'replayed') return answerReplay(request, response, options, result.jobId);

    options.wakes.push({ jobId: job.id, priority: job.priority, tenantId: job.tenantId });
    Object.assign(contextOf(response).event, { job: job.id, type: job.type, priority: job.priority });
    await answerAccepted(request, response, options, job, result);
  };
}

function readOrigin(request: Request, response: Response, options: AcceptJobOptions): JobOrigin {
  const auth = identityOf(response);
  const header = request.headers['idempotency-key'];
  const idempotencyKey = readIdempotencyKey(
    Array.isArray(header) ? header[0] : header,
    options.requireIdempotencyKey,
  );
  const body: unknown = request.body;
  if (body === undefined)
    throw new ProblemError('invalid_json', 'The body is empty; a JSON object is expected.');
  return {
    tenantId: auth.tenantId,
    apiKeyId: auth.keyId,
    idempotencyKey: hasDefect('skip-idempotency') ? null : idempotencyKey,
    fingerprint: fingerprintOf('POST', '/v1/jobs', body),
    requestId: contextOf(response).requestId,
    traceparent: readTraceparent(request.headers.traceparent),
  };
}

/**
 * A request that is refused now may be one that was accepted before: its deadline has passed since, or the limits were reached, or the
 * configuration changed. Its key answers then, as it would have.
 */
async function prepareOrReplay(
  body: unknown,
  auth: Identity,
  origin: JobOrigin,
  options: AcceptJobOptions,
): Promise<NewJob | { replayOf: string }> {
  try {
    const job = prepareJob(body, origin, options.prepare);
    const arriving = {
      ...job,
      plan: job.content.plan as PlanNode,
      timeLeftMs: job.deadlineAt === null ? null : job.deadlineAt - options.prepare.now(),
      batchAllowed: auth.batchAllowed,
    };
    options.checkLane(arriving);
    options.backpressure(arriving);
    refuseLate(job, options);
    options.openJobs.admit(auth);
    return job;
  } catch (error) {
    if (!(error instanceof ProblemError) || origin.idempotencyKey === null) throw error;
    const accepted = await findAccepted(options.database, origin.tenantId, origin.idempotencyKey);
    if (!accepted) throw error;
    if (Buffer.compare(accepted.fingerprint, origin.fingerprint) !== 0) throw keyReused();
    return { replayOf: accepted.jobId };
  }
}

/** With `on_late: refuse` a client would rather hear now that a job must wait beyond its deadline; batches are judged apart. */
function refuseLate(job: NewJob, { forecastNew, prepare }: AcceptJobOptions): void {
  if (job.onLate !== 'refuse' || job.deadlineAt === null || job.lane === 'batch') return;
  const { etaSeconds } = forecastNew(job);
  if (etaSeconds === null || prepare.now() + etaSeconds * 1_000 <= job.deadlineAt) return;
  const message = `work of this kind now takes about ${etaSeconds} s`;
  throw new ProblemError('validation_failed', `deadline: ${message}`, {
    errors: [{ path: 'deadline', message }],
  });
}

async function answerAccepted(
  request: Request,
  response: Response,
  options: AcceptJobOptions,
  job: NewJob,
  result: AcceptResult,
): Promise<void> {
  const waitMs = preferredWaitMs(request.headers.prefer);
  const record = waitMs === null ? null : await options.waitForEnd(response, job.id, waitMs);
  const object = record
    ? await options.show.one(record)
    : newJobObject(job, result.createdAt ?? Date.now(), options.forecastNew(job));
  answer(response, object, waitMs);
}

async function answerReplay(
  request: Request,
  response: Response,
  options: AcceptJobOptions,
  jobId: string,
): Promise<void> {
  const { tenantId } = identityOf(response);
  const waitMs = preferredWaitMs(request.headers.prefer);
  Object.assign(contextOf(response).event, { job: jobId, replayed: true });
  const record =
    waitMs === null
      ? await findJob(options.database, tenantId, jobId)
      : await options.waitForEnd(response, jobId, waitMs);
  // Pruned since: the key is free again.
  if (!record) throw keyInProgress();
  response.setHeader('Idempotent-Replayed', 'true');
  answer(response, await options.show.one(record), waitMs);
}

function answer(response: Response, job: JobObject, waitMs: number | null): void {
  const done = isTerminal(job.status);
  response.setHeader('Vary', 'Prefer');
  response.setHeader('Location', `/v1/jobs/${job.id}`);
  if (waitMs !== null) response.setHeader('Preference-Applied', appliedWait(waitMs));
  if (!done) response.setHeader('Retry-After', FIRST_LOOK_S);
  response.status(done ? 200 : 202).json(job);
}

function keyReused(): ProblemError {
  return new ProblemError(
    'idempotency_key_reused',
    'This Idempotency-Key was used with another body; take a new one for a new job.',
  );
}

function keyInProgress(): ProblemError {
  return new ProblemError(
    'idempotency_in_progress',
    'A request with this key is being committed; try again.',
    {
      retryAfterMs: IN_PROGRESS_RETRY_MS,
    },
  );
}
