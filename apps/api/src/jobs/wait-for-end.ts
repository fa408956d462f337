import type { JobRecord } from '@millrace/ledger';
import type { Response } from 'express';
import { identityOf } from '../http/request-context.ts';
import type { LongPoll } from '../results/long-poll.ts';

/**
 * The job of the request's tenant when it has ended, or as it is when the time has passed, the client has gone or the process stops;
 * null when there is no such job.
 */
export type WaitForEnd = (response: Response, jobId: string, waitMs: number) => Promise<JobRecord | null>;

/** Binds long polling to the life of a request. `stopping` is aborted when the process ends. */
export function createWaitForEnd(longPoll: LongPoll, stopping: AbortSignal): WaitForEnd {
  return async (response, jobId, waitMs) => {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    response.once('close', leave);
    try {
      const signal = AbortSignal.any([gone.signal, stopping]);
      return await longPoll.waitForEnd(identityOf(response).tenantId, jobId, waitMs, signal);
    } finally {
      response.off('close', leave);
    }
  };
}
