import { ProblemError } from '@millrace/contracts';
import type { Request, Response } from 'express';

/** Half of what a small container has; a body of the largest size takes a twenty-fifth of it. */
const MOST_BYTES = 256 * 1024 * 1024;
const AGAIN_AFTER_MS = 1_000;

/** The bodies of requests that are under way in this process, by what has arrived of them or was announced. */
export interface BodiesUnderWay {
  /** Counts a request's body until it is answered or gone; `refuse` is told at most once, when there is no room for more. */
  admit(request: Request, response: Response, refuse: (problem: ProblemError) => void): void;
}

/** Bounds the memory of bodies that wait for their last byte: many clients could keep all of it that way. */
export function createBodiesUnderWay(mostBytes = MOST_BYTES): BodiesUnderWay {
  let underWay = 0;
  return {
    admit(request, response, refuse) {
      let own = 0;
      let refused = false;
      const grow = (bytes: number): void => {
        own += bytes;
        underWay += bytes;
        if (underWay <= mostBytes || refused) return;
        refused = true;
        refuse(
          new ProblemError('rate_limited', 'Too many large requests are under way.', {
            retryAfterMs: AGAIN_AFTER_MS,
          }),
        );
      };
      response.once('close', () => {
        underWay -= own;
      });
      const announced = Number(request.headers['content-length'] ?? 0);
      if (announced > 0) grow(announced);
      else request.on('data', (piece: Buffer) => grow(piece.length));
    },
  };
}
