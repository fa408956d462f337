import { priorities } from '@millrace/contracts';
import type { Charge, Priority } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import { Job } from 'bullmq';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { withOrderScripts } from './fair-order-scripts.ts';
import { PLACES, priorityNumber } from './priority-number.ts';

/** A wake that wants a number. */
export interface OrderedWake {
  /** Its id on the queue. */
  id: string;
  priority: Priority;
  /** Null keeps its place: it was handed out before, so it goes to the front of its class and costs nothing. */
  charge: Charge | null;
  /** Where it was handed out from, if it goes back there. */
  place?: number;
}

export interface FairOrderOptions {
  redis: Redis;
  names: KeyNames;
  /** The share of a tier relative to others; above 0. */
  weightOf: (tier: string) => number;
  /** Tokens of one place of a queue; see {@link placeTokens}. */
  unitOf: (queue: string) => number;
  onError: (error: Error) => void;
  /** Numbers per class, and how long a wake may be on its way to the queue; for tests. */
  places?: number;
  graceMs?: number;
}

/** Gives wakes their places, so that tenants share a pool by their weights. */
export interface FairOrder {
  /**
   * BullMQ numbers, in the order of the wakes; 0 for a wake that is on the queue already. When the order cannot be had
   * although Redis is there, those of the classes. Throws when Redis is away.
   */
  number(queue: Queue, wakes: readonly OrderedWake[]): Promise<number[]>;
  /** Gives wakes that wait a place in the class that they are raised to. Those that wait no more are left alone. */
  raise(queue: Queue, wakes: readonly OrderedWake[]): Promise<void>;
  /** Makes room where the numbers of a class come to an end. For one process at a time; returns how many wakes got another number. */
  rebase(queue: Queue): Promise<number>;
}

/** Wakes in one script: Redis does nothing else meanwhile. */
const AT_A_TIME = 500;
/** A producer gives up a command after a second, and a wake takes two: one for its number, one for its place. */
const GRACE_MS = 2_500;
/** What an aged step's flow weighs beside its tenant's own: it gets on, and new work of the higher class hardly feels it. */
const AGED_SHARE = 0.25;
const DEFAULT_PLACE_TOKENS = 250;
/** A place is what the pool does in a twentieth of a second; the places of a class are then a backlog of nine hours. */
const PLACES_PER_MINUTE = 1_200;
const HIGH_HALF = 4_294_967_296;

/** How many tokens one place of a pool stands for: calls that take less share a place and go in the order in which they came. */
export function placeTokens(tokensPerMinute: number | null): number {
  return tokensPerMinute === null ? DEFAULT_PLACE_TOKENS : Math.max(1, tokensPerMinute / PLACES_PER_MINUTE);
}

/** Keeps the fair order of queues; the scripts explain it. */
export function createFairOrder(options: FairOrderOptions): FairOrder {
  const { names, onError, places = PLACES, graceMs = GRACE_MS } = options;
  const redis = withOrderScripts(options.redis);

  const runNumber = (queue: Queue, wakes: readonly (string | number)[]): Promise<number[]> =>
    redis.millraceNumberWakes(
      queue.toKey('prioritized'),
      queue.toKey('active'),
      ...stateKeys(names, queue),
      queue.toKey(''),
      options.unitOf(queue.name),
      places,
      ...priorities.map(priorityNumber),
      graceMs,
      ...wakes,
    );

  async function numberSome(queue: Queue, wakes: readonly OrderedWake[], force: boolean): Promise<number[]> {
    const asked = wakes.filter((wake) => wake.charge !== null || cameFrom(wake) > 0);
    if (asked.length === 0) return wakes.map(({ priority }) => priorityNumber(priority));
    const numbers = await runNumber(
      queue,
      asked.flatMap((wake) => {
        const { id, priority, charge } = wake;
        const which = priorities.indexOf(priority) + 1;
        if (charge === null) return ['=', which, '', cameFrom(wake)];
        const flow = charge.aged ? `${charge.tenantId}+` : charge.tenantId;
        return [force ? `!${id}` : id, which, flow, costOf(charge, options.weightOf)];
      }),
    ).catch((error: unknown) => {
      // Redis is there and does not take the script: better some order than no work.
      if (!(error instanceof Error && error.name === 'ReplyError')) throw error;
      onError(error);
      return [];
    });
    const given = new Map(asked.map((wake, index) => [wake, numbers[index]]));
    return wakes.map((wake) => given.get(wake) ?? priorityNumber(wake.priority));
  }

  const order: FairOrder = {
    number: (queue, wakes) => numberSome(queue, wakes, false),
    async raise(queue, wakes) {
      for (const some of inPieces(wakes)) {
        const numbers = await numberSome(queue, some, true);
        await Promise.all(some.map(({ id }, index) => renumber(queue, id, numbers[index])));
      }
    },
    async rebase(queue) {
      let renumbered = 0;
      // Where nothing is enqueued for hours, V would stand still.
      await runNumber(queue, ['', 1, '', 0, '', 2, '', 0, '', 3, '', 0]);
      for (const priority of priorities) {
        const shift = await redis.millraceRebaseOrder(names.order(queue.name, priority), places);
        if (shift > 0) renumbered += await shiftWaiting(queue, priorityNumber(priority) + 1, shift);
      }
      return renumbered;
    },
  };
  return order;

  /** Where a wake was handed out from; 0 for none, and for one of a class that it was in before. */
  function cameFrom({ priority, place = 0 }: OrderedWake): number {
    const first = priorityNumber(priority);
    return place > first && place <= first + places ? place : 0;
  }

  /** From the front to the back, so that nobody overtakes whom they stood behind. */
  async function shiftWaiting(queue: Queue, first: number, shift: number): Promise<number> {
    const end = `(${String((first + places) * HIGH_HALF)}`;
    let from = String((first + shift) * HIGH_HALF);
    for (let renumbered = 0; ;) {
      const found = await redis.zrangebyscore(
        queue.toKey('prioritized'),
        from,
        end,
        'WITHSCORES',
        'LIMIT',
        0,
        AT_A_TIME,
      );
      const waiting = found.flatMap((id, index) =>
        index % 2 === 0 ? [{ id, score: Number(found[index + 1]) }] : [],
      );
      await Promise.all(
        waiting.map(({ id, score }) => {
          const place = Math.floor(score / HIGH_HALF) - first;
          return renumber(queue, id, first + shiftPlace(place, shift, places));
        }),
      );
      renumbered += waiting.length;
      const last = waiting.at(-1);
      if (!last || waiting.length < AT_A_TIME) return renumbered;
      from = `(${String(last.score)}`;
    }
  }

  /** Of a wake that has gone meanwhile there is nothing to renumber. */
  async function renumber(queue: Queue, id: string, number: number | undefined): Promise<void> {
    if (number === undefined) return;
    await new Job(queue, '', {}, {}, id).changePriority({ priority: number }).catch((error: unknown) => {
      if (!(error instanceof Error && error.message.startsWith('Missing key'))) throw error;
    });
  }
}

/** The place of a tag that has been lowered by `shift` places; the script says how places and tags belong together. */
function shiftPlace(place: number, shift: number, places: number): number {
  const near = places * 0.75;
  const fold = (places - near) / Math.log(1_000);
  const tag = (place <= near ? place : near * Math.exp((place - near) / fold)) - shift;
  return Math.max(0, Math.floor(tag <= near ? tag : near + fold * Math.log(tag / near)));
}

/** Splits wakes so that one script does not hold Redis up. */
export function inPieces<Wake>(wakes: readonly Wake[]): Wake[][] {
  return Array.from({ length: Math.ceil(wakes.length / AT_A_TIME) }, (_, index) =>
    wakes.slice(index * AT_A_TIME, (index + 1) * AT_A_TIME),
  );
}

function stateKeys(names: KeyNames, { name }: Queue): [string, string, string] {
  return [names.order(name, 'realtime'), names.order(name, 'standard'), names.order(name, 'background')];
}

function costOf({ tokens, tier, aged }: Charge, weightOf: (tier: string) => number): number {
  const weight = weightOf(tier) * (aged ? AGED_SHARE : 1);
  return Math.max(1, tokens) / weight;
}
