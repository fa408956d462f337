import { asksForVectors, splitTarget } from '@millrace/calls';
import {
  findCollected,
  findRouteOverrides,
  leaveLaneByShape,
  measureBatches,
  settlePilots,
  tryShape,
} from '@millrace/ledger';
import type { CollectedGroup, KnownDurations } from '@millrace/ledger';
import type { BatchPort } from '@millrace/providers';
import { gatherBatch } from './gather-batch.ts';
import type { LaneDependencies } from './lane-dependencies.ts';
import { planCollection } from './plan-collection.ts';
import type { CollectionPlan } from './plan-collection.ts';
import { tell } from './tell.ts';

const MOST_PILOTS = 3;
const PILOT_PATIENCE_MS = 10 * 60_000;
const LEAVING_AT_A_TIME = 1_000;
const BATCHES_AT_A_TIME = 20;

/**
 * One pass of the collector: pilots, refused shapes, and batches of all that may be submitted now. Trouble with one target keeps no
 * other one waiting.
 */
export async function collect(dependencies: LaneDependencies, durations: KnownDurations): Promise<void> {
  const { database, ports, onError } = dependencies;
  for (const shape of await settlePilots(database, MOST_PILOTS, PILOT_PATIENCE_MS)) {
    dependencies.log.info(
      { target: shape.target, outcome: shape.trial },
      'a request was tried for the batch lane',
    );
  }
  const groups = await findCollected(database);
  if (groups.length === 0) return;
  await durations.refresh();
  const off = await findSwitchedOff(database);
  for (const [target, ofTarget] of Map.groupBy(groups, (group) => group.target)) {
    // Its steps stay in the lane until it is back, or until they have to leave for their deadline.
    if (off.has(target)) continue;
    const port = ports.get(splitTarget(target).provider);
    try {
      await collectFor(dependencies, planFor(dependencies, durations, target, ofTarget, port), port);
    } catch (error) {
      onError(error);
    }
  }
}

/** What is to be done for one target. */
async function collectFor(
  dependencies: LaneDependencies,
  plan: CollectionPlan,
  port: BatchPort | undefined,
): Promise<void> {
  const { target } = plan;
  await leave(dependencies, plan, port === undefined ? 'no_batch_api' : 'shape_refused');
  for (const shape of plan.tryShapes) {
    const wake = await tryShape(dependencies.database, { target, shape });
    if (wake) await tell(dependencies, { wakes: [wake] });
  }
  if (!port) return;
  // A batch has one endpoint.
  for (const submitShapes of Map.groupBy(plan.submitShapes, asksForVectors).values()) {
    await submitAll(dependencies, port, { ...plan, submitShapes });
  }
}

/** Targets to which no call may go at present, on no route. */
async function findSwitchedOff(database: LaneDependencies['database']): Promise<ReadonlySet<string>> {
  const overrides = await findRouteOverrides(database);
  const everywhere = overrides.filter(({ route, enabled }) => route === null && enabled === false);
  return new Set(everywhere.map(({ target }) => target));
}

function planFor(
  { settings, now }: LaneDependencies,
  durations: KnownDurations,
  target: string,
  groups: readonly CollectedGroup[],
  port: BatchPort | undefined,
): CollectionPlan {
  if (!port) {
    const refusedShapes = groups.map((group) => group.shape);
    return { target, tryShapes: [], refusedShapes, submitShapes: [] };
  }
  return planCollection(target, groups, {
    collectAgeMs: settings.collectAgeMs,
    pilotFrom: settings.pilotFrom,
    fullAt: Math.min(settings.maxLines, port.limits.maxRequests),
    takesMs: durations.expectedMs(target),
    now: now(),
  });
}

async function leave(dependencies: LaneDependencies, plan: CollectionPlan, reason: string): Promise<void> {
  for (const shape of plan.refusedShapes) {
    const { target } = plan;
    const wakes = await leaveLaneByShape(dependencies.database, { target, shape }, reason, LEAVING_AT_A_TIME);
    dependencies.metrics.batchEscapes.inc({ reason }, wakes.length);
    await tell(dependencies, { wakes });
  }
}

/** As many batches as there are steps for, and as the provider's limit of enqueued tokens leaves room for. */
async function submitAll(
  dependencies: LaneDependencies,
  port: BatchPort,
  plan: CollectionPlan,
): Promise<void> {
  const { limit, left } = await roomFor(dependencies, plan.target);
  let room = left;
  for (let made = 0; made < BATCHES_AT_A_TIME && room > 0; made += 1) {
    const tokens = { left: room, limit };
    const gathered = await gatherBatch(dependencies, port, plan.target, plan.submitShapes, tokens);
    if (gathered === null || !gathered.isFull) return;
    room -= gathered.tokens;
  }
}

/** Tokens that the pool of a target may enqueue in batches, altogether and still: other targets of the pool may have taken some just now. */
async function roomFor(
  { database, pools, poolOf }: LaneDependencies,
  target: string,
): Promise<{ limit: number; left: number }> {
  const pool = poolOf(target);
  const limit = pools.get(pool)?.enqueuedBatchTokens ?? null;
  if (limit === null) return { limit: Infinity, left: Infinity };
  const { batches } = await measureBatches(database);
  const enqueued = batches.filter((each) => each.status !== 'reading' && poolOf(each.target) === pool);
  return { limit, left: limit - enqueued.reduce((sum, each) => sum + each.estimatedTokens, 0) };
}
