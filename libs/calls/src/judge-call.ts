import { hasDefect } from '@millrace/faults';
import { errorCatalogue, RetryableError, TerminalError } from '@millrace/contracts';
import type { TokenUsage } from '@millrace/contracts';
import type { AttemptEnd, ClaimedStep } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import { CallAborted } from '@millrace/providers';
import type { ProviderAnswer } from '@millrace/providers';
import type { AbortReason, Happening } from './happening.ts';
import { readVectors } from './judge-vectors.ts';
import type { PreparedCall } from './prepare-call.ts';

/** What happened, and what is to be said about the attempt. */
export interface JudgedCall {
  happening: Happening;
  attempt: AttemptEnd;
}

/** The call that is judged. `firstTextAt` is in milliseconds since 1970. */
export interface CallContext {
  prepared: PreparedCall;
  step: ClaimedStep;
  /** Number of the attempt. */
  attempt: number;
  firstTextAt: number | null;
  validators: OutputValidators;
}

/** Judges an answer; it is checked against the output schema here, whatever the vendor promised. */
export function judgeAnswer(context: CallContext, answer: ProviderAnswer): JudgedCall {
  const wantsVectors = context.step.request.embedding !== undefined;
  const vectors = wantsVectors ? readVectors(context.step.request, answer) : null;
  if (wantsVectors && vectors === null)
    return judgeError(context, unusableVectors(context, answer), undefined, answer.serviceTier);
  const happening: Happening =
    vectors === null ? fit(answer, context.step, context.validators) : { kind: 'answered', output: vectors };
  const attempt = toEnd(context, {
    status: 'completed',
    providerRequestId: answer.providerRequestId,
    httpStatus: answer.httpStatus,
    error: remark(answer, happening),
    usage: bill(context, answer.usage, answer.serviceTier, answer.usageEstimated),
  });
  return { happening, attempt };
}

/**
 * Judges what a provider's adapter threw. `abortReason` is why we ended the call ourselves, if we did; `tier` is at which price
 * what it used is billed, where that is known.
 */
export function judgeError(
  context: CallContext,
  error: unknown,
  abortReason: AbortReason | undefined,
  tier: string | null = null,
): JudgedCall {
  if (error instanceof CallAborted) {
    const reason = abortReason ?? 'lost';
    const { aborted } = error;
    const attempt = toEnd(context, {
      status: reason === 'cancelled' ? 'cancelled' : 'interrupted',
      httpStatus: aborted.httpStatus,
      providerRequestId: aborted.providerRequestId,
      ambiguous: reason !== 'cancelled' && aborted.maybeBilled,
      usage:
        aborted.usage && !hasDefect('drop-usage-on-abort')
          ? bill(context, aborted.usage, tier, aborted.usageEstimated)
          : null,
    });
    return { happening: { kind: 'aborted', reason }, attempt };
  }
  if (error instanceof TerminalError || error instanceof RetryableError) {
    const { failure, message } = error;
    const retryable = error instanceof RetryableError;
    const attempt = toEnd(context, {
      status: 'failed',
      httpStatus: failure.httpStatus,
      providerRequestId: failure.providerRequestId,
      error: { code: failure.code, message: printable(message) },
      ambiguous: retryable && failure.maybeBilled,
      usage: failure.usage ? bill(context, failure.usage, tier, failure.usageEstimated ?? false) : null,
    });
    const happening: Happening = retryable
      ? { kind: 'failed', message: printable(message), failure, retryAfterMs: error.retryAfterMs }
      : { kind: 'refused', message: printable(message), failure };
    return { happening, attempt };
  }
  const message = printable(error instanceof Error ? error.message : String(error));
  const attempt = toEnd(context, {
    status: 'failed',
    error: { code: 'internal_error', message },
    ambiguous: true,
  });
  return { happening: { kind: 'unexpected', message }, attempt };
}

function toEnd(context: CallContext, end: Partial<AttemptEnd> & Pick<AttemptEnd, 'status'>): AttemptEnd {
  return {
    number: context.attempt,
    target: context.step.target,
    firstTokenAt: context.firstTextAt,
    httpStatus: null,
    error: null,
    ambiguous: false,
    usage: null,
    ...end,
    providerRequestId: printableOrNull(end.providerRequestId),
  };
}

function bill(
  { prepared }: CallContext,
  usage: TokenUsage,
  tier: string | null,
  estimated: boolean,
): AttemptEnd['usage'] {
  const cost = prepared.price(usage, tier);
  const isCheaper = tier === 'batch' || tier === 'flex';
  return {
    ...usage,
    ...(hasDefect('miscount-usage') ? { inputTokens: usage.inputTokens + 1 } : {}),
    ...(isCheaper ? { realtimeMicroUsd: prepared.price(usage, null).microUsd } : {}),
    costMicroUsd: cost.microUsd,
    priceKnown: cost.known,
    estimated,
    serviceTier: printableOrNull(tier),
  };
}

function fit(answer: ProviderAnswer, step: ClaimedStep, validators: OutputValidators): Happening {
  const sureness = answer.meanLogprob === undefined ? {} : { meanLogprob: answer.meanLogprob };
  if (step.request.output === null) return { kind: 'answered', output: answer.text, ...sureness };
  const checked = validators.for(step.request.output.schema)(answer.text);
  if (checked.ok) return { kind: 'answered', output: checked.value, ...sureness };
  const truncated = answer.finish === 'length';
  return {
    kind: 'misfit',
    answer: answer.text,
    feedback: checked.feedback,
    fingerprint: checked.fingerprint,
    truncated,
    ...(step.request.maxRepairs === undefined ? {} : { maxRepairs: step.request.maxRepairs }),
  };
}

function unusableVectors({ prepared }: CallContext, answer: ProviderAnswer): RetryableError {
  const { providerRequestId, httpStatus, usage, usageEstimated } = answer;
  const { name } = prepared.provider;
  const message = `${name}: ${errorCatalogue.provider_bad_answer.title}: the vectors do not fit the inputs`;
  const failure = { code: 'provider_bad_answer', provider: name, httpStatus, providerCode: null } as const;
  const rest = { providerRequestId, usage, usageEstimated, maybeBilled: true, scope: 'call' } as const;
  return new RetryableError(message, { ...failure, ...rest }, null);
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
