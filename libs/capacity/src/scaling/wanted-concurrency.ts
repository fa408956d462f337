import { priorities } from '@millrace/contracts';
import type { Bottleneck, Priority } from '@millrace/contracts';

/** What is known of a pool when its concurrency is decided. */
export interface PoolDemand {
  /** Calls by class that wait and could leave now. */
  due: Readonly<Record<Priority, number>>;
  /** Calls under way. */
  running: number;
  /** How long a call holds its place; null when that is not known. */
  holdMs: number | null;
  /** Calls per second that the limits can feed; null for any number. */
  feedPerSecond: number | null;
  /** Calls at a time that the account allows; null for any number. */
  concurrencyLimit: number | null;
  /** The share of the fullest limit that is used. */
  fullest: number;
  parkedMs: number;
  /** Calls at a time that the live workers can carry. */
  capacity: number;
}

/** What an operator decides about scaling. */
export interface ScalingPolicy {
  /** Within which time what waits of a class should be taken. */
  targetWaitMs: Readonly<Record<Priority, number>>;
  /** Calls at a time, per pool. */
  minConcurrency: number;
  /** null: as many as the limits can feed. */
  maxConcurrency: number | null;
}

/** How many calls of a pool should run at a time, and why no more. */
export interface WantedConcurrency {
  /** What the work asks for and the limits can feed; decides the number of processes. */
  wanted: number;
  /** What the live workers may run between them. */
  granted: number;
  feedable: number | null;
  bottleneck: Bottleneck;
}

/** Above what Little's law asks for: calls are of uneven length, and between two calls a place is empty for a moment. */
const FEED_MARGIN = 1.25;
/** From this share of a limit on, calls wait for the limit and not for a place. */
const LIMIT_IS_NEAR = 0.8;
/** For how long a call may hold its place before its booking lets it go, so that none of a full limit is left unused. */
const BOOKED_AHEAD_MS = 1_000;

/**
 * Decides the concurrency of a pool. **Wanted** is enough to take each class's backlog, with what is more urgent before it,
 * within its target wait; at least what runs (a fleet that keeps up is not taken apart), at most what is there to run, what
 * the limits can feed (Little's law: rate × hold, with a small margin) and the maximum; never below the minimum. While
 * nobody knows how long a call takes, or nothing may leave, it does not grow beyond the live fleet.
 *
 * **Granted** is all that the live workers carry, since a free place costs nothing and the next burst finds it, unless a
 * limit is nearly used up: then it is what the limit can feed and what it will let go within the next second. The book fills
 * a limit to the brim with calls that hold a booking and wait for its time; places beyond those would only hold calls that
 * a more urgent one could not overtake any more.
 */
export function wantedConcurrency(demand: PoolDemand, policy: ScalingPolicy): WantedConcurrency {
  const { running, capacity, concurrencyLimit } = demand;
  const feedable = feedableConcurrency(demand);
  const most = policy.maxConcurrency ?? Infinity;
  const waiting = priorities.reduce((sum, priority) => sum + demand.due[priority], 0);

  let wanted = running;
  let bottleneck: Bottleneck = running > 0 ? 'under_way' : 'minimum';
  const raise = (to: number, reason: Bottleneck): void => {
    if (to > wanted) [wanted, bottleneck] = [to, reason];
  };
  const cap = (at: number, reason: Bottleneck): void => {
    if (wanted > at) [wanted, bottleneck] = [Math.floor(at), reason];
  };
  raise(Math.min(running + waiting, needFor(demand, policy)), 'backlog');
  if (demand.holdMs === null) cap(Math.max(running, capacity, 1), 'unmeasured');
  if (demand.parkedMs > 0) cap(Math.max(running, capacity), 'paused');
  cap(feedable ?? Infinity, 'limit');
  cap(most, 'maximum');
  raise(policy.minConcurrency, 'minimum');

  const isFull = demand.fullest >= LIMIT_IS_NEAR && feedable !== null;
  const fed = isFull ? littlesLaw(demand, BOOKED_AHEAD_MS) : Infinity;
  const bound = Math.min(most, fed, concurrencyLimit ?? Infinity);
  const granted = Math.max(Math.min(capacity, bound), Math.min(policy.minConcurrency, most), 1);
  return { wanted, granted, feedable, bottleneck };
}

/** Places that take every class's backlog, with what goes before it, within its target wait. */
function needFor({ due, holdMs }: PoolDemand, { targetWaitMs }: ScalingPolicy): number {
  let ahead = 0;
  let need = 0;
  for (const priority of priorities) {
    ahead += due[priority];
    if (due[priority] === 0) continue;
    // Of unknown length: as many as there are.
    need = Math.max(need, holdMs === null ? ahead : Math.ceil((ahead * holdMs) / targetWaitMs[priority]));
  }
  return need;
}

/** What the limits can keep busy; null when nothing bounds it or the length of a call is unknown. */
function feedableConcurrency(demand: PoolDemand): number | null {
  const feedable = Math.min(littlesLaw(demand, 0), demand.concurrencyLimit ?? Infinity);
  return feedable === Infinity ? null : feedable;
}

/** Places that calls fill which come at the rate of the limits and hold theirs for a time more than they take. */
function littlesLaw({ feedPerSecond, holdMs }: PoolDemand, moreMs: number): number {
  if (feedPerSecond === null || holdMs === null) return Infinity;
  return Math.ceil(((feedPerSecond * (holdMs + moreMs)) / 1_000) * FEED_MARGIN) + 1;
}
