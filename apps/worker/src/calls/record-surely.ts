import { isTransient } from '@millrace/ledger';
import type { RecordResult, StepOutcome } from '@millrace/ledger';

export interface RecordSurelyDependencies {
  recordOutcome: (outcome: StepOutcome) => Promise<RecordResult>;
  onError: (error: unknown) => void;
  pause: (ms: number) => Promise<void>;
}

/**
 * An answer that is paid must reach the ledger: while the ledger is away the worker keeps it and tries again. If the process
 * dies before, the step is `ambiguous`, which is the truth.
 */
export async function recordSurely(
  dependencies: RecordSurelyDependencies,
  outcome: StepOutcome,
): Promise<RecordResult> {
  let recording = outcome;
  for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 1_000)) {
    try {
      return await dependencies.recordOutcome(recording);
    } catch (error) {
      dependencies.onError(error);
      if (!isTransient(error)) {
        // Something in the words that came from outside cannot be stored: what was paid for matters more than they do.
        if (recording !== outcome) throw error;
        recording = withoutWords(outcome);
      }
      await dependencies.pause(delayMs);
    }
  }
}

function withoutWords(outcome: StepOutcome): StepOutcome {
  const { attempt } = outcome;
  if (!attempt) return outcome;
  const error = attempt.error && { code: attempt.error.code, message: '' };
  const usage = attempt.usage && { ...attempt.usage, serviceTier: null };
  return { ...outcome, attempt: { ...attempt, error, usage, providerRequestId: null } };
}
