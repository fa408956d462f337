import type { LaneChoice } from '@millrace/contracts';

/** A call as its plan names it. */
export interface PlannedCall {
  route?: string | undefined;
  model?: string | undefined;
  stream?: boolean | undefined;
}

/** What of a job decides whether its calls may wait for a batch. Durations are in milliseconds. */
export interface PatientJob {
  lane: LaneChoice;
  /** Until the deadline; null without one. */
  timeLeftMs: number | null;
  /** Whether the tenant's data may lie in a provider's batch. */
  batchAllowed: boolean;
  /** Calls that follow one upon the other: each needs a batch of its own. */
  callsInARow: number;
}

/** Whether a call will ride in a provider's batch, and so takes no room from what is called in realtime. */
export type FitsBatch = (call: PlannedCall, job: PatientJob) => boolean;

/** What the deployment has configured and knows; targets are `provider/model`. */
export interface BatchOutlook {
  routes: ReadonlyMap<
    string,
    { targets: readonly { target: string; weight: number }[]; batch?: boolean | undefined }
  >;
  hasBatches(target: string): boolean;
  /** Whether a batch is cheaper than realtime. */
  saves(target: string): boolean;
  /** Within which time a call that is ready now is believed to be answered by a batch. */
  takesMs(target: string): number;
  /** What is kept before a deadline for the way back to realtime. */
  marginMs(target: string): number;
}

/** By the rules of the worker that places the call later, and only where all targets between which it may choose agree. */
export function createFitsBatch(outlook: BatchOutlook): FitsBatch {
  return (call, job) => {
    const route = call.model === undefined ? outlook.routes.get(call.route ?? '') : undefined;
    if (!job.batchAllowed || route?.batch === false || !mayWait(call, job)) return false;
    const targets =
      call.model === undefined
        ? (route?.targets ?? []).filter(({ weight }) => weight > 0).map(({ target }) => target)
        : [call.model];
    return targets.length > 0 && targets.every((target) => fits(target, job, outlook));
  };
}

/** Without a deadline `auto` does not wait, and with a reader neither. */
function mayWait(call: PlannedCall, { lane, timeLeftMs }: PatientJob): boolean {
  switch (lane) {
    case 'realtime':
      return false;
    case 'batch':
      return true;
    case 'auto':
      return timeLeftMs !== null && call.stream !== true;
  }
}

function fits(target: string, { lane, timeLeftMs, callsInARow }: PatientJob, outlook: BatchOutlook): boolean {
  if (!outlook.hasBatches(target) || (lane === 'auto' && !outlook.saves(target))) return false;
  if (timeLeftMs === null) return true;
  return callsInARow * outlook.takesMs(target) + outlook.marginMs(target) <= timeLeftMs;
}
