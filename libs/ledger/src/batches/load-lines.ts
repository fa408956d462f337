import type { Queryable } from '../database.ts';
import type { ClaimedStep } from '../steps/claim-steps.ts';
import type { ClaimRow } from '../steps/read-claim.ts';
import { batchStepColumns, firstFitting, toBatchStep } from './batch-step.ts';

/** A line without an outcome. */
export interface OpenLine {
  line: number;
  attempt: number;
  /** The step as it was bound: its fence is the line's, also where the step has gone on since. */
  step: ClaimedStep;
  /** `wanted`: the step waits for this line. `escaped`: it runs or ran in realtime. `dropped`: its job has ended. */
  standing: 'wanted' | 'escaped' | 'dropped';
}

/** Some batches are read at once. */
const BYTES_AT_A_TIME = 4_000_000;

const FIND_SIZES = `
SELECT a.batch_line AS line, coalesce(octet_length(s.request::text), 0) AS bytes
FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key
WHERE a.batch_id = $1 AND a.status = 'sent' AND a.batch_line = ANY ($2) ORDER BY a.batch_line`;

const LOAD = `
SELECT a.batch_line AS line, a.number AS attempt, a.fence AS line_fence, s.status, a.escaped, ${batchStepColumns}
FROM attempts a JOIN steps s ON s.job_id = a.job_id AND s.key = a.step_key JOIN jobs j ON j.id = s.job_id
LEFT JOIN tenants t ON t.id = j.tenant_id
WHERE a.batch_id = $1 AND a.status = 'sent' AND a.batch_line = ANY ($2)
ORDER BY a.batch_line`;

const NEXT = `
SELECT batch_line AS line FROM attempts
WHERE batch_id = $1 AND status = 'sent' AND batch_line > $2 ORDER BY batch_line LIMIT $3`;

interface LineRow extends ClaimRow {
  line: number;
  attempt: number;
  line_fence: number;
  status: string;
  escaped: boolean;
}

/**
 * Those of the lines with these numbers that have no outcome yet, in pages of about 4 MB of requests: the sizes are read before
 * the contents, for short answers say nothing of how long their prompts are. Reading results twice finds nothing the second time.
 */
export async function* loadLines(
  database: Queryable,
  batchId: string,
  lines: readonly number[],
): AsyncGenerator<OpenLine[], void, undefined> {
  let found = await database.query<{ line: number; bytes: number }>(FIND_SIZES, [batchId, lines]);
  while (found.length > 0) {
    const page = firstFitting(found, BYTES_AT_A_TIME).map((each) => each.line);
    found = found.slice(page.length);
    yield (await database.query<LineRow>(LOAD, [batchId, page])).map(toOpenLine);
  }
}

/** The numbers of the next lines after `after` that have no outcome, at most `limit`. */
export async function findOpenLines(
  database: Queryable,
  batchId: string,
  after: number,
  limit: number,
): Promise<number[]> {
  const rows = await database.query<{ line: number }>(NEXT, [batchId, after, limit]);
  return rows.map((row) => row.line);
}

function toOpenLine(row: LineRow): OpenLine {
  const wanted = row.status === 'sent' && row.fence === row.line_fence;
  return {
    line: row.line,
    attempt: row.attempt,
    step: toBatchStep({ ...row, fence: row.line_fence }),
    standing: wanted ? 'wanted' : row.escaped ? 'escaped' : 'dropped',
  };
}
