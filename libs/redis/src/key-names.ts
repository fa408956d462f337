/** Every key and channel that Millrace uses itself (BullMQ names its own under {@link KeyNames.queues}). */
export interface KeyNames {
  /** BullMQ's prefix; the braces are a hash tag, so that one shard's queues live in one slot of a cluster. */
  queues: string;
  /** How far the tenants have come in a class of a queue; in the same slot as the queues. */
  order(queue: string, priority: string): string;
  /** Stream of a job's live text. */
  liveStream(jobId: string): string;
  /** Channel on which a job's events are announced. */
  liveChannel(jobId: string): string;
  /** Channel of cancelled jobs. */
  cancelChannel: string;
  /** Channel on which a change of a route is announced. */
  routesChannel: string;
  /** Written by the scheduler; its absence means that Redis has lost its content. */
  epoch: string;
  /** Until when a pool may send nothing. */
  parked(pool: string): string;
  /** The book of a pool: sums, limits and the like; kept for ever, its absence means that Redis has lost it. */
  book(pool: string): string;
  /** What a pool sent in the last minute, in slices of time; in the same slot as its book. */
  bookWindow(pool: string): string;
  /** The calls of a pool that are under way, by the time at which their lease ends; in the same slot as its book. */
  leases(pool: string): string;
  /** The circuit breaker of a target. */
  breaker(target: string): string;
  /** How long a kind of call's answers were lately. */
  outputLengths(kind: string): string;
  /** The workers that live, each with what it last announced. */
  fleet: string;
  /** What the leading scheduler wants of the fleet. */
  scalingPlan: string;
  requestLimit: string;
}

/** Key names under a prefix, by default `mr`. */
export function keyNames(prefix: string): KeyNames {
  return {
    queues: `{${prefix}}`,
    order: (queue, priority) => `{${prefix}}:order:${queue}:${priority}`,
    liveStream: (jobId) => `${prefix}:live:{${jobId}}`,
    liveChannel: (jobId) => `${prefix}:events:${jobId}`,
    cancelChannel: `${prefix}:cancel`,
    routesChannel: `${prefix}:routes`,
    epoch: `${prefix}:epoch`,
    parked: (pool) => `${prefix}:parked:{${pool}}`,
    book: (pool) => `${prefix}:book:{${pool}}`,
    bookWindow: (pool) => `${prefix}:window:{${pool}}`,
    leases: (pool) => `${prefix}:leases:{${pool}}`,
    breaker: (target) => `${prefix}:breaker:{${target}}`,
    outputLengths: (kind) => `${prefix}:outputs:{${kind}}`,
    fleet: `${prefix}:fleet`,
    scalingPlan: `${prefix}:plan`,
    requestLimit: `${prefix}:requests`,
  };
}
