import { judgeAnswer, judgeError } from '@millrace/calls';
import type { AbortReason, CallContext, JudgedCall, PreparedCall } from '@millrace/calls';
import type { ObservedLimits } from '@millrace/capacity';
import { crashPoint } from '@millrace/faults';
import type { ClaimedStep } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import type { TextStream } from './text-stream.ts';

/** What happened, when the first piece of text came, and by when the vendor must have counted the call. */
export interface Performance {
  judged: JudgedCall;
  firstTextAt: number | null;
  /** On the monotonic clock; undefined when the call never left. */
  arrivedBy: number | undefined;
}

/** Sends a prepared call and listens to its end. Never throws: every way a call can go is a happening. */
export async function performCall(
  prepared: PreparedCall,
  options: {
    step: ClaimedStep;
    attempt: number;
    signal: AbortSignal;
    text: TextStream;
    validators: OutputValidators;
    now: () => number;
    /** On the monotonic clock, in ms. */
    monotonicNow: () => number;
    onLimits: (limits: ObservedLimits, arrivedBy: number | undefined) => void;
  },
): Promise<Performance> {
  const { step, attempt, signal, text, validators } = options;
  let firstTextAt: number | null = null;
  let arrivedBy: number | undefined;
  const context = (): CallContext => ({ prepared, step, attempt, firstTextAt, validators });
  try {
    const answer = await prepared.provider.call(prepared.call, {
      signal,
      onSent: () => {
        arrivedBy = options.monotonicNow();
      },
      onLimits: (limits, processingMs) => {
        if (processingMs !== null) arrivedBy = options.monotonicNow() - processingMs;
        options.onLimits(limits, arrivedBy);
      },
      onText: (piece) => {
        firstTextAt ??= options.now();
        text.push(piece);
        crashPoint('call.mid-stream', step.jobId);
      },
    });
    await text.finish();
    return { judged: judgeAnswer(context(), answer), firstTextAt, arrivedBy };
  } catch (error) {
    await text.finish();
    const abortReason = signal.reason as AbortReason | undefined;
    // Only OpenAI has it; where it has no room it refuses, which costs nothing.
    const tier = step.lane === 'flex' && prepared.provider.kind === 'openai' ? 'flex' : null;
    return { judged: judgeError(context(), error, abortReason, tier), firstTextAt, arrivedBy };
  }
}
