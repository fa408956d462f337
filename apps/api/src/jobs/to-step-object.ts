import { formatUsd } from '@millrace/contracts';
import type { AttemptObject, StepObject, StepStatus } from '@millrace/contracts';
import type { AttemptRecord, StepRecord } from '@millrace/ledger';

/** A step as the API shows it, with every attempt. */
export function toStepObject(jobId: string, step: StepRecord): StepObject {
  return {
    key: step.key,
    object: 'step',
    status: publicStatus(step.status),
    target: step.target,
    route: step.route,
    lane: step.lane,
    lane_reason: step.laneReason,
    batch_id: step.batchId,
    ambiguous: step.ambiguous,
    degraded: step.degraded,
    output: step.output,
    error: step.error,
    created_at: new Date(step.createdAt).toISOString(),
    started_at: toInstant(step.startedAt),
    finished_at: toInstant(step.finishedAt),
    usage: {
      input_tokens: step.inputTokens,
      cached_input_tokens: step.cachedInputTokens,
      output_tokens: step.outputTokens,
      reasoning_tokens: step.reasoningTokens,
      calls: step.calls,
      ambiguous_calls: step.ambiguousCalls,
    },
    cost_usd: formatUsd(step.costMicroUsd),
    attempts: step.attempts.map((attempt) =>
      toAttemptObject(attempt.lineName ?? `${jobId}/${step.key}#${attempt.fence}`, attempt),
    ),
  };
}

function toAttemptObject(requestTag: string, attempt: AttemptRecord): AttemptObject {
  return {
    number: attempt.number,
    target: attempt.target,
    status: attempt.status,
    purpose: attempt.purpose,
    request_tag: requestTag,
    // An attempt is recorded when it is about to be sent.
    started_at: new Date(attempt.sentAt).toISOString(),
    sent_at: new Date(attempt.sentAt).toISOString(),
    first_token_at: toInstant(attempt.firstTokenAt),
    finished_at: toInstant(attempt.finishedAt),
    provider_request_id: attempt.providerRequestId,
    http_status: attempt.httpStatus,
    error:
      attempt.errorCode === null ? null : { code: attempt.errorCode, message: attempt.errorMessage ?? '' },
    input_tokens: attempt.inputTokens,
    cached_input_tokens: attempt.cachedInputTokens,
    output_tokens: attempt.outputTokens,
    reasoning_tokens: attempt.reasoningTokens,
    cost_usd: formatUsd(attempt.costMicroUsd),
  };
}

/** The ledger's states as clients know them. */
function publicStatus(status: StepStatus): StepObject['status'] {
  switch (status) {
    case 'pending':
    case 'collected':
      return 'queued';
    case 'claimed':
    case 'sent':
      return 'in_progress';
    case 'held':
      return 'requires_action';
    case 'completed':
    case 'failed':
    case 'cancelled':
      return status;
  }
}

function toInstant(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
