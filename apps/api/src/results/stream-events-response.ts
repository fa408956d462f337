import { once } from 'node:events';
import { toSequenceNumber } from '@millrace/contracts';
import type { Response } from 'express';
import type { FollowedEvent } from './follow-job.ts';

/** An answer of the type `text/event-stream`: open → ended (by us) or closed (by the client, or stalled). */
export interface EventStream {
  /** Aborted as soon as nothing more can be sent. */
  readonly closed: AbortSignal;
  /** Resolves when the client can take more. */
  send(jobId: string, followed: FollowedEvent): Promise<void>;
  /** Ends the answer; the client gets what was sent. May be called twice. */
  end(): void;
}

/** Sends the head of the answer at once, and from then on a comment whenever `heartbeatMs` pass without an event. */
export function openEventStream(
  response: Response,
  options: { heartbeatMs: number; stallMs: number; retryMs: number },
): EventStream {
  const closing = new AbortController();
  const heartbeat = setInterval(() => {
    // A client that has not taken the last event has no use for a sign of life.
    if (!response.writableNeedDrain && !closing.signal.aborted) response.write(': still here\n\n');
  }, options.heartbeatMs);
  const close = (): void => {
    clearInterval(heartbeat);
    closing.abort();
  };
  response.once('close', close);
  // Writing to a connection that just broke is no fault of ours; 'close' follows.
  response.on('error', close);

  response.status(200).set({
    'Content-Type': 'text/event-stream; charset=utf-8',
    // no-transform also keeps compressing middleware and proxies from holding events back.
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
  });
  response.flushHeaders();
  if (response.req.method !== 'HEAD') response.write(`retry: ${Math.round(options.retryMs)}\n\n`);

  return {
    closed: closing.signal,
    async send(jobId, followed) {
      if (closing.signal.aborted || response.writableEnded) {
        close();
        return;
      }
      heartbeat.refresh();
      if (!response.write(formatEvent(jobId, followed)))
        await drained(response, options.stallMs, closing.signal);
    },
    end() {
      close();
      if (!response.writableEnded) response.end();
    },
  };
}

/** Until the client has taken what was written; one that takes nothing for `stallMs` is cut off. */
async function drained(response: Response, stallMs: number, signal: AbortSignal): Promise<void> {
  const timer = setTimeout(() => response.destroy(), stallMs);
  try {
    await once(response, 'drain', { signal });
  } catch (error) {
    // Closed meanwhile, which the follower sees by the signal.
    if (!signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** One event on the wire. JSON has no line breaks of its own, so its text is one `data:` line. */
function formatEvent(jobId: string, followed: FollowedEvent): string {
  const sequenceNumber = toSequenceNumber(followed.position);
  const about = { sequence_number: sequenceNumber, job_id: jobId };
  if (followed.kind === 'delta') {
    const { step, attempt, text } = followed.delta;
    const data = { type: 'step.delta', ...about, step, attempt, text };
    return `id: ${sequenceNumber}\nevent: step.delta\ndata: ${JSON.stringify(data)}\n\n`;
  }
  const { type, at, data } = followed.event;
  const body = { type, ...about, at: new Date(at).toISOString(), ...data };
  return `id: ${sequenceNumber}\nevent: ${type}\ndata: ${JSON.stringify(body)}\n\n`;
}
