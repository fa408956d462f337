import { numberParameter, type BatchFaultKind, type Fault } from '../faults/fault-kinds.ts';
import type { BatchConfig } from '../simulator-config.ts';

/** What was decided about a batch when it was created: how fast it goes and what befalls it. */
export interface BatchPlan {
  /** Its durations are multiplied by this. */
  readonly pace: number;
  readonly faults: readonly Fault[];
}

export function planBatch(faults: readonly Fault[], config: BatchConfig, random: () => number): BatchPlan {
  return { faults, pace: 1 + config.jitter * (2 * random() - 1) };
}

export function batchFault(plan: BatchPlan, kind: BatchFaultKind): Fault | null {
  return plan.faults.find((fault) => fault.kind === kind) ?? null;
}

/** How long the input is checked; without end when it is stuck there. */
export function validateMsOf(config: BatchConfig, plan: BatchPlan): number {
  const stuck = batchFault(plan, 'batch_stuck_validating');
  const stuckMs = stuck === null ? 0 : numberParameter(stuck, 'ms', Infinity);
  return config.validateMs * plan.pace + stuckMs;
}

/** How long the lines take from the first to the last, if nothing holds them up. */
export function runMsOf(
  config: BatchConfig,
  plan: BatchPlan,
  model: string | null,
  requests: number,
): number {
  const base = (model === null ? undefined : config.modelRunMs[model]) ?? config.runMs;
  return (base + config.perLineMs * requests) * plan.pace;
}

/** Where a batch is that began to run this long ago. */
export interface RunProgress {
  /** The share of the lines that are answered by now. */
  readonly share: number;
  /** How long after its begin it ended: all lines answered, or early expiry. `null`: it goes on. */
  readonly endedAfterMs: number | null;
  readonly expired: boolean;
}

export function runProgress(plan: BatchPlan, elapsedMs: number, runMs: number): RunProgress {
  const stuck = batchFault(plan, 'batch_stuck');
  const stuckAtMs = stuck === null ? Infinity : runMs * numberParameter(stuck, 'at', 0.5);
  const stuckForMs = stuck === null ? 0 : numberParameter(stuck, 'ms', Infinity);
  const heldMs = stuck === null ? 0 : Math.min(stuckForMs, Math.max(0, elapsedMs - stuckAtMs));
  const workedMs = elapsedMs - heldMs;
  // Without a duration everything is answered at once, but for what a fault holds back.
  const held = stuck !== null && elapsedMs < stuckAtMs + stuckForMs;
  const reached = runMs > 0 ? Math.min(1, workedMs / runMs) : held ? numberParameter(stuck, 'at', 0.5) : 1;
  const expires = batchFault(plan, 'batch_expires');
  const over = reached >= 1 && !held;
  return {
    share: expires === null ? reached : Math.min(reached, numberParameter(expires, 'at', 0.7)),
    endedAfterMs: over ? runMs + (stuck === null ? 0 : stuckForMs) : null,
    expired: over && expires !== null,
  };
}

/** The fault of one line of a batch whose lines fail by a share, or null. */
export function lineFault(plan: BatchPlan, random: () => number): Fault | null {
  const failing = batchFault(plan, 'batch_lines_fail');
  if (failing === null || random() >= numberParameter(failing, 'lines', 0.05)) return null;
  const kinds = (failing.parameters['kinds'] ?? 'bad_request,rate_limit,server_error,overloaded').split(',');
  const kind = kinds[Math.floor(random() * kinds.length)]?.trim();
  return { kind: kind as Fault['kind'], parameters: {} };
}
