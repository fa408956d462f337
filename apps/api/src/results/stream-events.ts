import { ProblemError, isId, parseSequenceNumber } from '@millrace/contracts';
import type { EventPosition } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import { findJob } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { LiveFeed } from '@millrace/transport';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { parseBody } from '../http/parse.ts';
import { identityOf } from '../http/request-context.ts';
import { locateCursor } from './follow-job-cursor.ts';
import { followJob } from './follow-job.ts';
import { openEventStream } from './stream-events-response.ts';
import type { EventStream } from './stream-events-response.ts';

/** The handler of `GET /v1/jobs/:id/events`, behind authentication. */
export interface StreamEvents {
  (request: Request, response: Response): Promise<void>;
  /** Ends all streams politely: their clients come back, elsewhere, with the last id they saw. */
  stop(): Promise<void>;
}

export interface StreamEventsOptions {
  database: Database;
  feed: LiveFeed;
  log: Logger;
  metrics: Metrics;
  /** A comment goes out after so long without anything else, so that nothing on the way takes the stream for dead. */
  heartbeatMs?: number;
  /** A client that takes nothing for so long is cut off; it may resume. */
  stallMs?: number;
  random?: () => number;
}

/**
 * Streams a job's events as Server-Sent Events (WHATWG HTML, section 9.2), from the beginning or after the position that
 * `Last-Event-ID` or `?starting_after=` names, until the terminal event. A client that has that already gets 204, which
 * ends its reconnecting.
 */
export function createStreamEvents(options: StreamEventsOptions): StreamEvents {
  const {
    database,
    feed,
    log,
    metrics,
    heartbeatMs = 15_000,
    stallMs = 120_000,
    random = Math.random,
  } = options;
  const open = new Map<EventStream, Promise<void>>();
  let isStopping = false;

  const streamEvents = async (request: Request, response: Response): Promise<void> => {
    const { tenantId } = identityOf(response);
    const after = readStartingPoint(request);
    const { id } = request.params;
    const job = typeof id === 'string' && isId('job', id) ? await findJob(database, tenantId, id) : null;
    if (!job) throw new ProblemError('not_found', 'There is no such job.');
    const place = await locateCursor(database, job, after.position);
    if (place === 'unknown') throw after.refuse('names an event that this job does not have');
    if (place === 'end') {
      response.status(204).end();
      return;
    }
    if (isStopping)
      throw new ProblemError('shutting_down', 'This process is stopping.', { retryAfterMs: 1_000 });
    const stream = openEventStream(response, { heartbeatMs, stallMs, retryMs: 500 + random() * 1_500 });
    if (request.method === 'HEAD') {
      stream.end();
      return;
    }
    const following = send(stream, { tenantId, jobId: job.id, after: after.position });
    open.set(stream, following);
    await following;
    open.delete(stream);
  };

  async function send(
    stream: EventStream,
    request: { tenantId: string; jobId: string; after: EventPosition },
  ): Promise<void> {
    metrics.watchers.inc({ kind: 'stream' });
    try {
      for await (const followed of followJob({ database, feed, ...request, signal: stream.closed })) {
        await stream.send(request.jobId, followed);
      }
    } catch (error) {
      // The status has been sent: all that is left is to end, and to let the client come back to a better moment.
      log.warn({ job: request.jobId, tenant: request.tenantId, err: error }, 'event stream broke off');
    } finally {
      stream.end();
      metrics.watchers.dec({ kind: 'stream' });
    }
  }

  return Object.assign(streamEvents, {
    async stop() {
      isStopping = true;
      for (const stream of open.keys()) stream.end();
      await Promise.all(open.values());
    },
  });
}

interface StartingPoint {
  position: EventPosition;
  refuse: (reason: string) => ProblemError;
}

const eventsQuerySchema = z.strictObject({ starting_after: z.unknown().optional() });

/** The header counts before the query: a browser that reconnects repeats the address and tells by the header how far it is. */
function readStartingPoint(request: Request): StartingPoint {
  const header = request.headers['last-event-id'];
  if (header !== undefined && header !== '') {
    const refuse = (reason: string): ProblemError =>
      new ProblemError('invalid_header', `Last-Event-ID ${reason}.`);
    return parseStartingPoint(header, refuse);
  }
  const { starting_after: query } = parseBody(eventsQuerySchema, request.query);
  const refuse = (reason: string): ProblemError =>
    new ProblemError('validation_failed', `starting_after ${reason}.`, {
      errors: [{ path: 'starting_after', message: reason }],
    });
  return parseStartingPoint(query ?? '0', refuse);
}

function parseStartingPoint(value: unknown, refuse: (reason: string) => ProblemError): StartingPoint {
  const position = typeof value === 'string' ? parseSequenceNumber(value) : null;
  if (!position) throw refuse('must be the id of an event, which is a whole number');
  if (hasDefect('resume-too-early')) position.sequence = Math.max(0, position.sequence - 1);
  return { position, refuse };
}
