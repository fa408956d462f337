/** The queue of wakes for jobs. */
export const jobsQueue = 'jobs';
/** The queue of wakes for webhook deliveries. */
export const webhooksQueue = 'webhooks';

/** The queue of wakes for the steps of a pool. */
export function poolQueue(pool: string): string {
  return `calls-${pool}`;
}

/** The pool of a queue that {@link poolQueue} named. */
export function poolOfQueue(queue: string): string {
  return queue.replace(/^calls-/, '');
}
