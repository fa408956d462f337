import { ProblemError, isId, resolveRequestSchema } from '@millrace/contracts';
import { eraseJob, findJob, listJobs, listSteps, toJobObject } from '@millrace/ledger';
import type { Database, JobRecord } from '@millrace/ledger';
import { Router } from 'express';
import type { Request, RequestHandler, Response } from 'express';
import { parseBody } from '../http/parse.ts';
import { appliedWait, preferredWaitMs } from '../http/prefer-wait.ts';
import { contextOf, identityOf } from '../http/request-context.ts';
import { announce } from './announce.ts';
import type { CancelOptions } from './cancel-job.ts';
import { cancelAndReport } from './cancel-job.ts';
import { jobFilterOf, stepListQuerySchema } from './list-queries.ts';
import { resolveHeld } from './resolve-job.ts';
import type { ShowJobs } from './show-jobs.ts';
import { toStepObject } from './to-step-object.ts';
import type { WaitForEnd } from './wait-for-end.ts';

export interface JobRouteOptions extends CancelOptions {
  /** For lists, which may take longer than a client of the other routes should wait. */
  listing: Database;
  show: ShowJobs;
  /** For lists. */
  showListed: ShowJobs;
  acceptJob: RequestHandler;
  streamEvents: (request: Request, response: Response) => Promise<void>;
  waitForEnd: WaitForEnd;
}

/** `/v1/jobs`. Expects the caller in `response.locals.auth`; a job of another tenant answers as one that does not exist. */
export function jobRoutes(options: JobRouteOptions): Router {
  const { database } = options;
  const router = Router();

  router.post('/v1/jobs', options.acceptJob);

  router.get('/v1/jobs', async (request, response) => {
    const filter = jobFilterOf(request.query, identityOf(response).tenantId);
    const { jobs, hasMore } = await listJobs(options.listing, filter);
    response.json({
      object: 'list',
      data: await options.showListed.many(jobs),
      has_more: hasMore,
      first_id: jobs[0]?.id ?? null,
      last_id: jobs.at(-1)?.id ?? null,
    });
  });

  router.get('/v1/jobs/:id', async (request, response) => {
    const waitMs = preferredWaitMs(request.headers.prefer);
    const job =
      waitMs === null
        ? await requireJob(database, request, response)
        : await options.waitForEnd(response, jobIdOf(request, response), waitMs);
    if (!job) throw unknownJob();
    response.setHeader('Vary', 'Prefer');
    if (waitMs !== null) response.setHeader('Preference-Applied', appliedWait(waitMs));
    response.json(await options.show.one(job));
  });

  router.get('/v1/jobs/:id/steps', async (request, response) => {
    const { limit, after } = parseBody(stepListQuerySchema, request.query);
    const job = await requireJob(database, request, response);
    const page = { tenantId: job.tenantId, jobId: job.id, after: after ?? null, limit };
    const { steps, hasMore, isAfterKnown } = await listSteps(options.listing, page);
    if (!isAfterKnown) throw unknownStep();
    response.json({
      object: 'list',
      data: steps.map((step) => toStepObject(job.id, step)),
      has_more: hasMore,
      first_id: steps[0]?.key ?? null,
      last_id: steps.at(-1)?.key ?? null,
    });
  });

  router.get('/v1/jobs/:id/events', async (request, response) => {
    jobIdOf(request, response);
    await options.streamEvents(request, response);
  });

  router.post('/v1/jobs/:id/cancel', async (request, response) => {
    const { tenantId } = identityOf(response);
    const job = await cancelAndReport(options, tenantId, jobIdOf(request, response));
    if (!job) throw unknownJob();
    response.json(toJobObject(job));
  });

  router.post('/v1/jobs/:id/resolve', async (request, response) => {
    const { action, step } = parseBody(resolveRequestSchema, request.body);
    const job = await requireJob(database, request, response);
    await resolveHeld(options, { tenantId: job.tenantId, jobId: job.id, key: step ?? null, action });
    response.json(await options.show.one(await requireJob(database, request, response)));
  });

  router.delete('/v1/jobs/:id', async (request, response) => {
    const jobId = jobIdOf(request, response);
    const outcome = await eraseJob(database, identityOf(response).tenantId, jobId);
    if (outcome === 'unknown') throw unknownJob();
    if (outcome === 'open') {
      throw new ProblemError(
        'job_not_terminal',
        'Only a job that has ended can be erased; cancel it first.',
        {
          retryAfterMs: 1_000,
        },
      );
    }
    await announce(options, 'erasure', () => options.publisher.eraseDeltas(jobId));
    response.status(204).end();
  });

  return router;
}

async function requireJob(database: Database, request: Request, response: Response): Promise<JobRecord> {
  const job = await findJob(database, identityOf(response).tenantId, jobIdOf(request, response));
  if (!job) throw unknownJob();
  return job;
}

/** What does not look like an id is not looked up: the ledger would refuse some texts. */
function jobIdOf(request: Request, response: Response): string {
  const { id } = request.params;
  if (typeof id !== 'string' || !isId('job', id)) throw unknownJob();
  contextOf(response).event.job = id;
  return id;
}

function unknownJob(): ProblemError {
  return new ProblemError('not_found', 'There is no such job.');
}

function unknownStep(): ProblemError {
  return new ProblemError('validation_failed', 'The list cannot begin after a step that does not exist.', {
    errors: [{ path: 'after', message: 'the job has no such step' }],
  });
}
