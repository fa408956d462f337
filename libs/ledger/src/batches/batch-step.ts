import { vectorShapeMark } from '@millrace/contracts';
import type { StepRequest } from '@millrace/contracts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import { emptyRequest, readClaim, toClaimedStep } from '../steps/read-claim.ts';
import type { ClaimRow } from '../steps/read-claim.ts';

/** What makes a {@link ClaimedStep} of a step that nobody claimed: of `steps s`, `jobs j` and `tenants t`. */
export const batchStepColumns = `s.job_id, s.key, s.fence, j.tenant_id, j.request_id, j.traceparent, s.priority, s.request,
  s.route, s.target, s.pool, s.lane, s.spent_targets, s.target_attempts, s.attempts, s.repairs, s.deaths, s.repair,
  false AS lost_answer, coalesce(t.ambiguous_policy, 'retry') AS ambiguous_policy, j.deadline_at, j.max_cost_micro_usd, s.created_at`;

/**
 * Maps a row of {@link batchStepColumns} whose answer is there: it is kept as this version understands it. One that is gone is read as
 * an empty request. Throws ZodError where the row does not fit.
 */
export function toBatchStep(row: ClaimRow): ClaimedStep {
  return toClaimedStep({ ...row, request: row.request ?? emptyRequest });
}

/**
 * Maps a row of {@link batchStepColumns} that is to be sent: marked as `unreadable` where this version would ask for something else
 * than was wanted. `erased` stands for a request that is gone.
 */
export function toStepToSend(row: ClaimRow, erased: StepRequest = emptyRequest): ClaimedStep {
  return readClaim({ ...row, request: row.request ?? erased });
}

/**
 * What is sent in the place of a request that is gone: vendors refuse an empty text, and a line for another endpoint than its
 * neighbours’ has the whole batch refused. Nobody reads the answer, so that it is kept as short as it may be.
 */
export function toPlaceholder(shape: string | null): StepRequest {
  const messages = [{ role: 'user' as const, content: 'erased' }];
  const asksForVectors = shape?.startsWith(vectorShapeMark) ?? false;
  return {
    ...emptyRequest,
    messages,
    maxOutputTokens: 1,
    ...(asksForVectors ? { embedding: { dimensions: null, encoding: 'base64', single: true } } : {}),
  };
}

/** A step by its place, and how long its request is. */
export interface SizedKey {
  job_id: string;
  key: string;
  bytes: number;
}

/** {@link firstFitting}, as the two lists that `unnest` takes. */
export function fittingKeys(found: readonly SizedKey[], mostBytes: number): [string[], string[]] {
  const fitting = firstFitting(found, mostBytes);
  return [fitting.map((each) => each.job_id), fitting.map((each) => each.key)];
}

/** The first of them whose requests together stay within a size, one at least. */
export function firstFitting<Sized extends { bytes: number }>(
  found: readonly Sized[],
  mostBytes: number,
): readonly Sized[] {
  let bytes = 0;
  const over = found.findIndex((each, at) => (bytes += each.bytes) > mostBytes && at > 0);
  return over === -1 ? found : found.slice(0, over);
}
