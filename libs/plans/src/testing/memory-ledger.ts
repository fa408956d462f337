import { planNodeSchema } from '@millrace/contracts';
import type { Json, PlanNode } from '@millrace/contracts';
import { advancePlan } from '../advance-plan.ts';
import type { Advance } from '../advance-plan.ts';
import { defaultPlanLimits } from '../plan-limits.ts';
import type { PlanLimits } from '../plan-limits.ts';
import type { RecordedStep, WantedStep } from '../run/step.ts';

/** A ledger in miniature: records endings in the order in which the test tells them. */
export function createMemoryLedger(
  plan: unknown,
  given: { input?: Json; params?: Record<string, Json>; limits?: Partial<PlanLimits> } = {},
) {
  const steps = new Map<string, RecordedStep>();
  const parsed: PlanNode = planNodeSchema.parse(plan);
  let ordinal = 0;
  return {
    steps,
    async advance(): Promise<Advance> {
      const advance = await advancePlan({
        plan: parsed,
        input: given.input,
        params: given.params ?? {},
        steps,
        limits: { ...defaultPlanLimits, ...given.limits },
      });
      if (advance.kind !== 'suspended') return advance;
      for (const { key } of advance.wanted) {
        steps.set(key, { key, status: 'open', output: null, error: null, ordinal: null });
      }
      return advance;
    },
    complete(key: string, output: Json, sureness: { meanLogprob?: number } = {}) {
      ordinal += 1;
      steps.set(key, { key, status: 'completed', output, error: null, ordinal, ...sureness });
    },
    fail(key: string, code = 'retries_exhausted') {
      ordinal += 1;
      const error = { code, message: 'All attempts failed.' };
      steps.set(key, { key, status: 'failed', output: null, error, ordinal });
    },
  };
}

/** The steps that a suspended plan asks for. */
export function wantedOf(advance: Advance): WantedStep[] {
  if (advance.kind !== 'suspended') throw new Error(`the plan is ${JSON.stringify(advance)}`);
  return advance.wanted;
}
/** Their keys. */
export const keysOf = (advance: Advance) => wantedOf(advance).map((step) => step.key);
/** The first message of a step. */
export const promptOf = (step: WantedStep | undefined) => step?.request.messages[0]?.content;
/** A call node. */
export const call = (prompt: string, more: object = {}) => ({
  type: 'call',
  route: 'cheap',
  prompt,
  ...more,
});
