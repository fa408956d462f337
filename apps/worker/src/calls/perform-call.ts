import { RetryableError, TerminalError } from '@millrace/contracts';
import type { TokenUsage } from '@millrace/contracts';
import type { AttemptEnd, ClaimedStep } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import { CallAborted } from '@millrace/providers';
import type { ProviderAnswer } from '@millrace/providers';
import type { AbortReason, Happening } from './decide-outcome.ts';
import type { PreparedCall } from './prepare-call.ts';
import type { TextStream } from './text-stream.ts';

/** What happened, and what is to be said about the attempt. */
export interface Performance {
  happening: Happening;
  attempt: AttemptEnd;
  firstTextAt: number | null;
}

/**
 * Sends a prepared call and listens to its end. Never throws: every way a call can go is a happening. The answer is
 * checked against the output schema here, whatever the vendor promised.
 */
export async function performCall(
  prepared: PreparedCall,
  context: {
    step: ClaimedStep;
    attempt: number;
    signal: AbortSignal;
    text: TextStream;
    validators: OutputValidators;
    now: () => number;
  },
): Promise<Performance> {
  const { step, signal, text } = context;
  let firstTextAt: number | null = null;
  const ended = (end: Partial<AttemptEnd> & Pick<AttemptEnd, 'status'>): AttemptEnd => ({
    number: context.attempt,
    target: step.target,
    firstTokenAt: firstTextAt,
    httpStatus: null,
    error: null,
    ambiguous: false,
    usage: null,
    ...end,
    providerRequestId: printableOrNull(end.providerRequestId),
  });
  const bill = (usage: TokenUsage, tier: string | null, estimated: boolean): AttemptEnd['usage'] => {
    const cost = prepared.price(usage, tier);
    return {
      ...usage,
      costMicroUsd: cost.microUsd,
      priceKnown: cost.known,
      estimated,
      serviceTier: printableOrNull(tier),
    };
  };

  try {
    const answer = await prepared.provider.call(prepared.call, {
      signal,
      onText: (piece) => {
        firstTextAt ??= context.now();
        text.push(piece);
      },
    });
    await text.finish();
    const happening = judge(answer, step, context.validators);
    const attempt = ended({
      status: 'completed',
      providerRequestId: answer.providerRequestId,
      httpStatus: answer.httpStatus,
      error: remark(answer, happening),
      usage: bill(answer.usage, answer.serviceTier, answer.usageEstimated),
    });
    return { happening, attempt, firstTextAt };
  } catch (error) {
    await text.finish();
    if (error instanceof CallAborted) {
      const reason = (signal.reason as AbortReason | undefined) ?? 'lost';
      const { aborted } = error;
      const attempt = ended({
        status: reason === 'cancelled' ? 'cancelled' : 'interrupted',
        httpStatus: aborted.httpStatus,
        providerRequestId: aborted.providerRequestId,
        ambiguous: reason !== 'cancelled' && aborted.maybeBilled,
        usage: aborted.usage ? bill(aborted.usage, null, aborted.usageEstimated) : null,
      });
      return { happening: { kind: 'aborted', reason }, attempt, firstTextAt };
    }
    if (error instanceof TerminalError || error instanceof RetryableError) {
      const { failure, message } = error;
      const retryable = error instanceof RetryableError;
      const attempt = ended({
        status: 'failed',
        httpStatus: failure.httpStatus,
        providerRequestId: failure.providerRequestId,
        error: { code: failure.code, message: printable(message) },
        ambiguous: retryable && failure.maybeBilled,
        usage: failure.usage ? bill(failure.usage, null, false) : null,
      });
      const happening: Happening = retryable
        ? { kind: 'failed', message: printable(message), failure, retryAfterMs: error.retryAfterMs }
        : { kind: 'refused', message: printable(message), failure };
      return { happening, attempt, firstTextAt };
    }
    const message = printable(error instanceof Error ? error.message : String(error));
    const attempt = ended({ status: 'failed', error: { code: 'internal_error', message }, ambiguous: true });
    return { happening: { kind: 'unexpected', message }, attempt, firstTextAt };
  }
}

function judge(answer: ProviderAnswer, step: ClaimedStep, validators: OutputValidators): Happening {
  if (step.request.output === null) return { kind: 'answered', output: answer.text };
  const checked = validators.for(step.request.output.schema)(answer.text);
  if (checked.ok) return { kind: 'answered', output: checked.value };
  const truncated = answer.finish === 'length';
  return {
    kind: 'misfit',
    answer: answer.text,
    feedback: checked.feedback,
    fingerprint: checked.fingerprint,
    truncated,
  };
}

/** What the list of attempts says of an answer that is not quite what was asked for. */
function remark(answer: ProviderAnswer, happening: Happening): AttemptEnd['error'] {
  if (happening.kind === 'misfit') return { code: 'output_invalid', message: printable(happening.feedback) };
  if (answer.finish === 'length')
    return { code: 'output_truncated', message: 'The answer reached max_output_tokens.' };
  return null;
}

/** PostgreSQL's text knows neither NUL nor half a surrogate pair; cutting may leave one. */
function printable(message: string): string {
  return message.replaceAll('\u0000', '').slice(0, 2_000).toWellFormed();
}

function printableOrNull(text: unknown): string | null {
  return typeof text === 'string' ? printable(text) : null;
}
