import {
  chooseTarget,
  decideOutcome,
  judgeAnswer,
  judgeError,
  prepareCall,
  splitTarget,
  toStepOutcome,
} from '@millrace/calls';
import type { Happening, JudgedCall, Outcome, PreparedCall, Situation } from '@millrace/calls';
import { overlayRoutes } from '@millrace/config';
import type { LiveRoutes } from '@millrace/config';
import { findRouteOverrides, isTransient, loadLines, recordOutcomes } from '@millrace/ledger';
import type { BatchRecord, ClaimedStep, OpenLine, RecordResult, StepOutcome } from '@millrace/ledger';
import type { BatchLineResult } from '@millrace/providers';
import type { LaneDependencies } from './lane-dependencies.ts';
import { giveBack } from './release.ts';
import { tell } from './tell.ts';

/** A result and the number of its line. */
export interface NumberedResult {
  line: number;
  result: BatchLineResult;
}

interface JudgedLine {
  line: OpenLine;
  judged: JudgedCall;
  outcome: Outcome;
  recording: StepOutcome;
}

/**
 * Makes results the outcomes of their steps, as realtime answers would be: judged, decided, recorded in one transaction
 * per page, told. Lines that have an outcome already are passed over; what comes for a step that has left its batch changes nothing
 * and is booked.
 */
export async function recordLines(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  results: readonly NumberedResult[],
  batchTakesMs: number,
): Promise<void> {
  // The same line twice in one file: the first one counts.
  const byLine = new Map(results.toReversed().map((each) => [each.line, each.result]));
  const unbilled = new Map<string, number[]>();
  const live = overlayRoutes(dependencies.routes, await findRouteOverrides(dependencies.database));
  for await (const open of loadLines(dependencies.database, batch.id, [...byLine.keys()])) {
    const judged: JudgedLine[] = [];
    for (const line of open) {
      const result = byLine.get(line.line);
      if (!result) continue;
      if (result.kind === 'unbilled') {
        unbilled.set(result.reason, [...(unbilled.get(result.reason) ?? []), line.line]);
        continue;
      }
      judged.push(judge(dependencies, live, line, result));
    }
    await recordJudged(dependencies, batch, judged);
  }
  for (const [reason, lines] of unbilled) {
    const message = `The line was ${reason} with its batch.`;
    const giving = { reason: `batch_${reason}`, message, maybeBilled: false, batchTakesMs };
    await giveBack(dependencies, batch, lines, giving);
  }
}

function judge(
  dependencies: LaneDependencies,
  live: LiveRoutes,
  line: OpenLine,
  result: BatchLineResult & { kind: 'answered' | 'error' },
): JudgedLine {
  const { step, attempt, standing } = line;
  const prepared = prepareCall(step, dependencies) ?? unpriced(step, dependencies);
  const context = { prepared, step, attempt, firstTextAt: null, validators: dependencies.validators };
  const judged =
    result.kind === 'answered'
      ? judgeAnswer(context, { ...result.answer, serviceTier: 'batch' })
      : judgeError(context, result.error, undefined, 'batch');
  const outcome: Outcome =
    standing === 'wanted'
      ? decideOutcome(
          judged.happening,
          toSituation(dependencies, live, step, judged.happening),
          dependencies.policy,
          dependencies.random(),
        )
      : { kind: 'drop', reason: standing };
  return {
    line,
    judged,
    outcome,
    recording: toStepOutcome(step, outcome, judged.attempt, dependencies.poolOf),
  };
}

/** A line of a provider that this process cannot call any more: its answer is worth keeping all the same. */
function unpriced(step: ClaimedStep, { providers }: LaneDependencies): PreparedCall {
  const [provider] = providers.values();
  if (!provider) throw new Error('no provider can be called here');
  const { model } = splitTarget(step.target);
  const { system, messages, output } = step.request;
  const call = { model, system, messages, output, maxOutputTokens: 1, requestTag: '', timeoutMs: 1 };
  const price = () => ({ microUsd: 0, known: false });
  return {
    provider,
    call,
    purpose: 'answer',
    inputTokens: 0,
    inputCharacters: 0,
    chargedOutputTokens: 0,
    worstCaseMicroUsd: null,
    price,
  };
}

function toSituation(
  { providers, random }: LaneDependencies,
  live: LiveRoutes,
  step: ClaimedStep,
  happening: Happening,
): Situation {
  const look = (target: string) => ({
    usable: providers.has(splitTarget(target).provider),
    breaker: 'closed' as const,
    expectedWaitMs: 0,
  });
  const spent = [...step.spentTargets, step.target];
  const another = chooseTarget({ route: step.route, model: null }, live, spent, look, random());
  // One that is switched off is of use only to a call that cannot stay where it is.
  const isUseful = another?.kind === 'healthy' || happening.kind === 'refused';
  return {
    attempts: step.attempts,
    targetAttempts: step.targetAttempts,
    repairs: step.repairs,
    lastFingerprint: step.repair?.fingerprint ?? null,
    ambiguousPolicy: step.ambiguousPolicy,
    target: step.target,
    nextTarget: isUseful ? (another?.target ?? null) : null,
    freeTarget: null,
    lane: 'batch',
  };
}

async function recordJudged(
  dependencies: LaneDependencies,
  batch: BatchRecord,
  lines: readonly JudgedLine[],
): Promise<void> {
  if (lines.length === 0) return;
  const results = await recordTogether(dependencies, lines);
  for (const [index, line] of lines.entries())
    count(dependencies, batch, line, results[index]?.accepted ?? false);
  await tell(dependencies, {
    events: results.flatMap((each) => each.events),
    deliveryIds: results.flatMap((each) => each.deliveryIds),
    wakes: lines.flatMap(({ line: { step }, outcome }, index) => {
      const pending = results[index]?.pending;
      if (!pending) return [];
      const delayMs = outcome.kind === 'retry' ? outcome.delayMs : 0;
      return [{ jobId: step.jobId, key: step.key, priority: step.priority, ...pending, delayMs }];
    }),
    jobs: lines.flatMap(({ line: { step } }, index) =>
      results[index]?.mayAdvance ? [{ jobId: step.jobId, priority: step.priority }] : [],
    ),
  });
}

/** One outcome that cannot be stored must not keep the others out: it is then tried alone, and at last without its words. */
async function recordTogether(
  dependencies: LaneDependencies,
  lines: readonly JudgedLine[],
): Promise<RecordResult[]> {
  const { database, onError } = dependencies;
  try {
    return await recordOutcomes(
      database,
      lines.map((line) => line.recording),
    );
  } catch (error) {
    if (isTransient(error)) throw error;
    onError(error);
    const [only] = lines;
    if (lines.length === 1 && only) return recordOutcomes(database, [withoutWords(only.recording)]);
    const results: RecordResult[] = [];
    for (const line of lines) results.push(...(await recordTogether(dependencies, [line])));
    return results;
  }
}

function withoutWords(recording: StepOutcome): StepOutcome {
  const { attempt } = recording;
  const error = { code: 'provider_bad_answer', message: 'The answer cannot be stored.' };
  return {
    ...recording,
    next: { status: 'failed', error },
    attempt: attempt && { ...attempt, error, providerRequestId: null },
  };
}

function count(
  { metrics }: LaneDependencies,
  { target }: BatchRecord,
  { line, outcome, judged }: JudgedLine,
  accepted: boolean,
): void {
  const { usage } = judged.attempt;
  metrics.batchLines.inc({ target, outcome: line.standing === 'wanted' ? outcome.kind : line.standing });
  if (judged.attempt.error) metrics.callErrors.inc({ target, code: judged.attempt.error.code });
  if (!usage) return;
  if (line.standing === 'escaped' && !accepted) {
    metrics.batchPaidTwice.inc({ target });
    metrics.batchPaidTwiceUsd.inc({ target }, usage.costMicroUsd / 1_000_000);
  }
  metrics.callTokens.inc({ target, kind: 'input' }, usage.inputTokens);
  metrics.callTokens.inc({ target, kind: 'cached_input' }, usage.cachedInputTokens);
  metrics.callTokens.inc({ target, kind: 'output' }, usage.outputTokens);
  metrics.callTokens.inc({ target, kind: 'reasoning' }, usage.reasoningTokens);
  metrics.callCostUsd.inc({ target }, usage.costMicroUsd / 1_000_000);
}
