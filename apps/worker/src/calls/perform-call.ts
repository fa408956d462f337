import { judgeAnswer, judgeError } from '@millrace/calls';
import type { AbortReason, CallContext, JudgedCall, PreparedCall } from '@millrace/calls';
import type { ClaimedStep } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import type { TextStream } from './text-stream.ts';

/** What happened, and when the first piece of text came. */
export interface Performance extends JudgedCall {
  firstTextAt: number | null;
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
  },
): Promise<Performance> {
  const { step, attempt, signal, text, validators } = options;
  let firstTextAt: number | null = null;
  const context = (): CallContext => ({ prepared, step, attempt, firstTextAt, validators });
  try {
    const answer = await prepared.provider.call(prepared.call, {
      signal,
      onText: (piece) => {
        firstTextAt ??= options.now();
        text.push(piece);
      },
    });
    await text.finish();
    return { ...judgeAnswer(context(), answer), firstTextAt };
  } catch (error) {
    await text.finish();
    const abortReason = signal.reason as AbortReason | undefined;
    return { ...judgeError(context(), error, abortReason), firstTextAt };
  }
}
