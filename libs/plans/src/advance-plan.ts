import type { JobError, Json, PlanNode } from '@millrace/contracts';
import type { PlanLimits } from './plan-limits.ts';
import { createRun } from './run/run.ts';
import type { RecordedStep, WantedStep } from './run/step.ts';
import { NodeFailed, PlanAborted, Suspended } from './run/signals.ts';
import { rootScope } from './run/scope.ts';
import type { SplitCache } from './tokens/split-cache.ts';

export interface AdvanceInput {
  plan: PlanNode;
  input: Json | undefined;
  params: Record<string, Json>;
  /** Every step of the job that the ledger has, by key. */
  steps: ReadonlyMap<string, RecordedStep>;
  limits: PlanLimits;
  /** Remembers where documents were cut; it saves time and never changes a result. */
  splits?: SplitCache;
}

/**
 * What comes next. `abandoned` are the keys of open steps that no further run can need (losers of `first_valid`, siblings
 * of a branch whose failure failed the plan): the caller cancels them.
 */
export type Advance =
  | {
      kind: 'suspended';
      /** Steps that are not in `steps` yet, in an order that depends on the plan only; empty while it only waits. */
      wanted: WantedStep[];
      abandoned: string[];
    }
  | { kind: 'completed'; output: Json; abandoned: string[] }
  | { kind: 'failed'; error: JobError; abandoned: string[] };

/**
 * Runs a plan as far as its recorded steps carry it. Pure: the same input gives the same answer, and an input with more
 * recorded steps never changes what an earlier run has decided. Never rejects on account of the plan or its data: those
 * faults come back as `failed` (`template_failed`, `plan_failed`, `no_branch_succeeded`, or the error of a step).
 */
export async function advancePlan(input: AdvanceInput): Promise<Advance> {
  const run = createRun(input.steps, input.limits, input.splits);
  const scope = rootScope(input.input, input.params);
  try {
    const settled = await run.node(input.plan, { path: '', scope, after: 0, barrier: null });
    return { kind: 'completed', output: settled.output, abandoned: openSteps(input.steps, new Set()) };
  } catch (signal) {
    if (signal instanceof NodeFailed || signal instanceof PlanAborted) {
      return { kind: 'failed', error: signal.error, abandoned: openSteps(input.steps, new Set()) };
    }
    if (!(signal instanceof Suspended)) throw signal;
    const wanted: WantedStep[] = [];
    const awaited = new Set<string>();
    for (const ask of signal.asks) {
      if (typeof ask === 'string') awaited.add(ask);
      else wanted.push(ask);
    }
    return { kind: 'suspended', wanted, abandoned: openSteps(input.steps, awaited) };
  }
}

/** Keys of open steps that nobody waits for. */
function openSteps(steps: ReadonlyMap<string, RecordedStep>, awaited: ReadonlySet<string>): string[] {
  const open: string[] = [];
  for (const [key, step] of steps) {
    if (step.status === 'open' && !awaited.has(key)) open.push(key);
  }
  return open;
}
