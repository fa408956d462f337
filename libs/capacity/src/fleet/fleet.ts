import { scalingPlanSchema, workerSignSchema } from '@millrace/contracts';
import type { ScalingPlan, WorkerSign } from '@millrace/contracts';
import type { KeyNames } from '@millrace/redis';
import type { Redis } from 'ioredis';
import { runScript } from '../book/run-script.ts';
import { announceScript, listScript } from './fleet-scripts.ts';

/** Who lives, and what the leading scheduler wants of them. Everything throws when Redis is away. */
export interface Fleet {
  /** Says that a worker lives; due every two seconds. */
  announce(sign: WorkerSign): Promise<void>;
  /** A worker that stops leaves at once instead of being missed. */
  leave(workerId: string): Promise<void>;
  /** Those who were heard of within six seconds, by id. */
  list(): Promise<WorkerSign[]>;
  publish(plan: ScalingPlan): Promise<void>;
  /** What was published last; null when nobody has for ten seconds. */
  readPlan(): Promise<ScalingPlan | null>;
}

/**
 * Then a plan is made within a second and read within another, so that the others have the share of one that died within
 * eight seconds, and on a busy machine within the ten that are promised.
 */
const DEAD_AFTER_MS = 6_000;
const FORGOTTEN_AFTER_MS = 60_000;
const PLAN_EXPIRES_MS = 10_000;

/** The fleet as Redis knows it; `redis` is a connection of the role `producer`. */
export function createFleet({ redis, names }: { redis: Redis; names: KeyNames }): Fleet {
  return {
    async announce(sign) {
      const parameters = [sign.id, JSON.stringify(sign), FORGOTTEN_AFTER_MS];
      await runScript(redis, announceScript, [names.fleet], parameters);
    },
    async leave(workerId) {
      await redis.hdel(names.fleet, workerId);
    },
    async list() {
      const signs = (await runScript(redis, listScript, [names.fleet], [DEAD_AFTER_MS])) as string[];
      // A worker of another version may announce what this one cannot read: it then counts as none.
      const read = signs.map((sign) => workerSignSchema.safeParse(JSON.parse(sign)));
      return read.flatMap(({ data }) => data ?? []).sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    async publish(plan) {
      await redis.set(names.scalingPlan, JSON.stringify(plan), 'PX', PLAN_EXPIRES_MS);
    },
    async readPlan() {
      const plan = await redis.get(names.scalingPlan);
      return plan === null ? null : scalingPlanSchema.parse(JSON.parse(plan));
    },
  };
}
