import type { Queryable } from '../database.ts';
import type { StepOutcome } from './step-outcome.ts';

const END_ATTEMPTS = `
UPDATE attempts a SET finished_at = now(), first_token_at = to_timestamp(e.first_token_at / 1000),
  provider_request_id = e.provider_request_id, http_status = e.http_status, error_code = e.error_code,
  -- Once the content of a job is erased, no late report brings any back.
  error_message = CASE WHEN EXISTS (SELECT FROM jobs j WHERE j.id = e.job_id AND j.erased_at IS NULL) THEN e.error_message END,
  -- A worker that finds out by its heartbeat knows only that it lost the step, not that the step was cancelled.
  status = CASE WHEN e.status = 'interrupted' AND EXISTS (
    SELECT FROM steps s WHERE s.job_id = e.job_id AND s.key = e.key AND s.status = 'cancelled'
  ) THEN 'cancelled' ELSE e.status END
FROM json_to_recordset($1) AS e (
  job_id text, key text, number int, status text, first_token_at float8, provider_request_id text, http_status int,
  error_code text, error_message text)
WHERE a.job_id = e.job_id AND a.step_key = e.key AND a.number = e.number AND a.status IN ('sent', 'ambiguous')`;

/** A claim that ends without an attempt has sent nothing, even if its `markSent` was committed and never heard of. */
const CLOSE_UNSENT = `
UPDATE attempts a SET status = 'interrupted', finished_at = now(), error_code = 'ledger_unavailable',
  error_message = 'The call was not sent.'
FROM unnest($1::text[], $2::text[], $3::int[]) AS o (job_id, key, fence)
WHERE a.job_id = o.job_id AND a.step_key = o.key AND a.fence = o.fence AND a.status = 'sent'`;

/** Ends the attempts that outcomes tell of, each once; those of claims that end without having sent anything as well. */
export async function endAttempts(transaction: Queryable, outcomes: readonly StepOutcome[]): Promise<void> {
  const ends = outcomes.flatMap(({ jobId, key, attempt }) =>
    attempt === null
      ? []
      : [
          {
            job_id: jobId,
            key,
            number: attempt.number,
            status: attempt.status,
            first_token_at: attempt.firstTokenAt,
            provider_request_id: attempt.providerRequestId,
            http_status: attempt.httpStatus,
            error_code: attempt.error?.code,
            error_message: attempt.error?.message,
          },
        ],
  );
  if (ends.length > 0) await transaction.query(END_ATTEMPTS, [JSON.stringify(ends)]);
  const unsent = outcomes.filter((outcome) => outcome.attempt === null);
  if (unsent.length === 0) return;
  await transaction.query(CLOSE_UNSENT, [
    unsent.map((outcome) => outcome.jobId),
    unsent.map((outcome) => outcome.key),
    unsent.map((outcome) => outcome.fence),
  ]);
}
