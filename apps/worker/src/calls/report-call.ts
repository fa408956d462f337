import type { Outcome } from '@millrace/calls';
import { formatUsd } from '@millrace/contracts';
import { hasDefect } from '@millrace/faults';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { CallReport } from './passage.ts';
import { isRateLimit } from './permit.ts';

/** Writes the wide event of an attempt and moves the metrics. A claim that sent nothing is logged at debug level. */
export function createCallReporter(
  log: Logger,
  metrics: Metrics,
  labelOf: (target: string) => string,
): (report: CallReport) => void {
  return (report) => {
    const { step, passage, outcome } = report;
    count(metrics, report, labelOf(report.step.target));
    const { attempt } = passage;
    const usage = attempt?.usage ?? null;
    log[attempt ? 'info' : 'debug'](
      {
        event: 'attempt',
        request_id: step.requestId,
        traceparent: step.traceparent ?? undefined,
        tenant: step.tenantId,
        job: step.jobId,
        step: step.key,
        fence: step.fence,
        pool: step.pool,
        target: step.target,
        purpose: passage.purpose,
        attempt: attempt?.number,
        outcome: outcome.kind,
        reason: reasonOf(outcome),
        accepted: report.accepted,
        ambiguous: step.lostAnswer || (attempt?.ambiguous ?? false),
        http_status: attempt?.httpStatus ?? undefined,
        provider_request_id: attempt?.providerRequestId ?? undefined,
        code: attempt?.error?.code,
        input_tokens: usage?.inputTokens,
        cached_input_tokens: usage?.cachedInputTokens,
        output_tokens: usage?.outputTokens,
        reasoning_tokens: usage?.reasoningTokens,
        cost_usd: usage ? formatUsd(usage.costMicroUsd) : undefined,
        retries: step.attempts,
        repairs: step.repairs,
        fallback: step.spentTargets.length > 0,
        queue_wait_ms: Math.max(0, report.claimedAt - step.createdAt),
        first_token_ms: between(passage.sentAt, passage.firstTextAt),
        total_ms: between(passage.sentAt, passage.endedAt),
      },
      hasDefect('log-texts') ? JSON.stringify(step.request) : attempt ? 'attempt' : 'claim without a call',
    );
  };
}

function count(
  metrics: Metrics,
  { step, passage, outcome, accepted, claimedAt }: CallReport,
  target: string,
): void {
  const { pool } = step;
  if (step.lostAnswer) metrics.ambiguousCalls.inc({ target });
  if ('degraded' in outcome && accepted) metrics.degradedSteps.inc({ how: outcome.degraded });
  if (passage.sentAt === null || passage.endedAt === null || !passage.attempt) return;
  metrics.calls.inc({ target, outcome: outcome.kind });
  // Later attempts have waited for other reasons too.
  if (step.attempts === 0)
    metrics.callQueueSeconds.observe({ pool }, Math.max(0, claimedAt - step.createdAt) / 1_000);
  if (passage.attempt.error) metrics.callErrors.inc({ target, code: passage.attempt.error.code });
  metrics.callSeconds.observe({ target }, (passage.endedAt - passage.sentAt) / 1_000);
  if (passage.firstTextAt !== null) {
    metrics.callFirstTokenSeconds.observe({ target }, (passage.firstTextAt - passage.sentAt) / 1_000);
  }
  if (!accepted && outcome.kind !== 'drop') metrics.staleAnswers.inc();
  if (passage.attempt.ambiguous) metrics.ambiguousCalls.inc({ target });
  // Also a 503 that says "slow down"; not a 429 for quota or of the flex tier, which no book can prevent.
  if (isRateLimit(passage.happening)) metrics.providerRateLimits.inc({ pool });
  const { usage } = passage.attempt;
  if (!usage) return;
  const { estimatedInputTokens } = passage;
  // A vendor that told no usage was estimated by the same rule: that would only compare the estimate with itself.
  if (estimatedInputTokens !== null && !usage.estimated) {
    metrics.inputEstimates.observe({ target }, estimatedInputTokens / Math.max(1, usage.inputTokens));
  }
  metrics.callTokens.inc({ target, kind: 'input' }, usage.inputTokens);
  metrics.callTokens.inc({ target, kind: 'cached_input' }, usage.cachedInputTokens);
  metrics.callTokens.inc({ target, kind: 'output' }, usage.outputTokens);
  metrics.callTokens.inc({ target, kind: 'reasoning' }, usage.reasoningTokens);
  metrics.callCostUsd.inc({ target }, usage.costMicroUsd / 1_000_000);
}

function reasonOf(outcome: Outcome): string | undefined {
  if ('reason' in outcome) return outcome.reason;
  return 'error' in outcome ? outcome.error.code : undefined;
}

function between(from: number | null, to: number | null): number | undefined {
  return from === null || to === null ? undefined : to - from;
}
