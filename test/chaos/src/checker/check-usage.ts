import type { Evidence } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/** Faults of the provider after which its own word about usage is wrong. */
const lyingFaults = ['wrong_usage', 'missing_usage'];

/**
 * I5. Attempts that the ledger calls completed have the tokens that the provider counted; a job's usage is the sum of its
 * attempts'; and a call that was ended on its way, while its worker lived, is not booked as free.
 */
export function checkUsage({ provider, jobs }: Evidence): Finding[] {
  const ends = new Map(provider.map((call) => [call.stepId, call]));
  return jobs.flatMap(({ job, steps }) => {
    const findings: Finding[] = [];
    const attempts = steps.flatMap((step) => step.attempts);
    for (const attempt of attempts) {
      const call = ends.get(attempt.request_tag);
      const end = call?.end;
      const told = `${attempt.input_tokens}+${attempt.output_tokens}`;
      if (attempt.status === 'completed' && end && !lyingFaults.includes(end.fault ?? '')) {
        const counted = `${end.inputTokens}+${end.outputTokens}`;
        if (told !== counted) {
          findings.push({
            about: attempt.request_tag,
            what: `${told} tokens in the ledger, ${counted} counted`,
          });
        }
      }
      const wasEnded = attempt.status === 'cancelled' || attempt.status === 'interrupted';
      if (wasEnded && end?.status === 200 && end.bytesSent > 0 && attempt.input_tokens === 0) {
        findings.push({ about: attempt.request_tag, what: 'was ended on its way and is booked as free' });
      }
    }
    for (const side of ['input_tokens', 'output_tokens'] as const) {
      const sum = attempts.reduce((total, attempt) => total + attempt[side], 0);
      if (sum !== job.usage[side]) {
        findings.push({
          about: job.id,
          what: `${side} ${job.usage[side]} is not the sum ${sum} of its attempts`,
        });
      }
    }
    return findings;
  });
}
