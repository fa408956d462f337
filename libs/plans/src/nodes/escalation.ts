import type { Escalation, StepRequest } from '@millrace/contracts';
import { NodeFailed } from '../run/signals.ts';
import type { Place, Run } from '../run/run.ts';
import type { Settled } from '../run/step.ts';
import { judgeRequest, readScore } from './judge-request.ts';
import { renderOrFail } from './render-or-fail.ts';

/** The call that may be escalated. */
interface EscalatingCall {
  key: string;
  place: Place;
  /** What the call asks, rendered. */
  request: () => StepRequest;
}

/** What a first answer came to: good enough, or to be asked again. */
type Verdict = { kind: 'sure'; settled: Settled } | { kind: 'unsure'; ordinal: number };

/**
 * Asks the call's own route first, and `to` only where that answer is unsure. The steps are `<key>`, `<key>.judge` (with
 * `judge_below`) and `<key>.escalated`.
 */
export async function runEscalation(
  run: Run,
  escalation: Escalation,
  call: EscalatingCall,
): Promise<Settled> {
  const { key, place, request } = call;
  const verdict = await judgeFirst(run, escalation, call);
  if (verdict.kind === 'sure') return verdict.settled;
  return run.step(`${key}.escalated`, { ...place, after: verdict.ordinal }, () => ({
    ...request(),
    ...toTarget(escalation.to),
  }));
}

async function judgeFirst(
  run: Run,
  { when }: Escalation,
  { key, place, request }: EscalatingCall,
): Promise<Verdict> {
  // Its end alone lets the plan go on: what comes next depends on it.
  const alone: Place = { ...place, barrier: null };
  const first = await orUnsure(
    run.step(key, alone, () => ({
      ...request(),
      ...(when.logprob_below === undefined ? {} : { logprobs: true }),
      ...(when.schema_invalid === true ? { maxRepairs: 0 } : {}),
    })),
    ({ error }) => isUnsureFailure(error.code, when),
  );
  if (first.kind === 'unsure') return first;
  const { settled } = first;
  const { ordinal } = settled;
  if (when.logprob_below !== undefined) {
    const meanLogprob = run.meanLogprobOf(key);
    if (meanLogprob === null || meanLogprob < when.logprob_below) return { kind: 'unsure', ordinal };
  }
  if (when.judge_below === undefined) return first;
  const judge = when.judge_below;
  const judged = await orUnsure(
    run.step(`${key}.judge`, { ...alone, after: ordinal }, () => ({
      ...renderOrFail(key, place, () =>
        judgeRequest(request(), settled.output, renderRubric(run, judge.rubric, place)),
      ),
      ...toTarget(judge.by),
    })),
    // A judge that cannot say that an answer is good has not said so.
    () => true,
  );
  if (judged.kind === 'unsure') return judged;
  const score = readScore(judged.settled.output);
  if (score === null || score < judge.score) return { kind: 'unsure', ordinal: judged.settled.ordinal };
  return { kind: 'sure', settled: { ...settled, ordinal: judged.settled.ordinal } };
}

async function orUnsure(
  step: Promise<Settled>,
  isUnsure: (failure: NodeFailed) => boolean,
): Promise<Verdict> {
  try {
    return { kind: 'sure', settled: await step };
  } catch (signal) {
    if (!(signal instanceof NodeFailed) || !isUnsure(signal)) throw signal;
    return { kind: 'unsure', ordinal: signal.ordinal };
  }
}

/** A misfit is what `schema_invalid` waits for; and models that tell no log probabilities refuse to be asked for them. */
function isUnsureFailure(code: string, when: Escalation['when']): boolean {
  if (code === 'output_invalid' || code === 'output_truncated') return when.schema_invalid === true;
  return code === 'provider_refused_request' && when.logprob_below !== undefined;
}

/** Rendered with `params` alone, as every instruction. */
function renderRubric(run: Run, rubric: string | undefined, { scope }: Place): string | null {
  if (rubric === undefined) return null;
  return run.templates.render(rubric, { params: scope.params }, 'escalate.when.judge_below.rubric');
}

/** A model has a slash, a route has none. */
function toTarget(place: string): Pick<StepRequest, 'route' | 'model'> {
  return place.includes('/') ? { route: null, model: place } : { route: place, model: null };
}
