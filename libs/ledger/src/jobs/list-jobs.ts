import { createId, isTerminal } from '@millrace/contracts';
import type { JobStatus } from '@millrace/contracts';
import type { Queryable } from '../database.ts';
import { cutToBytes, readPage } from '../read-page.ts';
import { jobColumns, toJobRecord } from './job-row.ts';
import type { JobRecord, JobRow } from './job-row.ts';

/** What to list; every filter that is null is off. `after` and `before` are job ids. */
export interface JobFilter {
  tenantId: string;
  status: JobStatus | null;
  type: string | null;
  lane: string | null;
  metadata: Record<string, string>;
  createdAfter: number | null;
  createdBefore: number | null;
  after: string | null;
  before: string | null;
  /** 1–100 */
  limit: number;
}

const ANY_LANE = '($4::text IS NULL OR lane = $4)';
/** Also jobs that chose no lane and were placed in it; the words of the index `jobs_batch_lane`. */
const BATCH_LANE = "$4::text = 'batch' AND (lane = 'batch' OR placed_in_batch)";

const ANY_STATUS = '($2::text IS NULL OR status = $2)';
/** The words of the index `jobs_open`: open jobs are few, and some of them as old as any. */
const OPEN_STATUS = 'status = $2 AND finished_at IS NULL';

/** Instants are compared as they are shown, in whole milliseconds. */
const list = (comparison: '<' | '>', direction: 'ASC' | 'DESC', lane: string, status: string): string =>
  cutToBytes(
    `
SELECT ${jobColumns} FROM jobs
WHERE tenant_id = $1
  AND ${status}
  AND ($3::text IS NULL OR type = $3)
  AND ${lane}
  AND ($5::jsonb = '{}' OR metadata @> $5 AND metadata <> '{}')
  AND ($6::float8 IS NULL OR created_at >= to_timestamp(($6 + 1) / 1000))
  AND ($7::float8 IS NULL OR created_at < to_timestamp($7 / 1000))
  AND ($8::text IS NULL OR id ${comparison} $8)
  AND ($9::text IS NULL OR id >= $9)
  AND ($10::text IS NULL OR id < $10)
ORDER BY id ${direction} LIMIT $11`,
    `id ${direction}`,
  );

/**
 * One page of a tenant's jobs, newest first, and whether there are more in the direction of travel; it may be shorter than
 * `limit`, see {@link cutToBytes}. The lane `batch` also lists jobs that `auto` placed there, with one call at least.
 */
export async function listJobs(
  database: Queryable,
  filter: JobFilter,
): Promise<{ jobs: JobRecord[]; hasMore: boolean }> {
  const backwards = filter.before !== null;
  const { rows, hasMore } = await readPage<JobRow>(
    database,
    statementFor(filter),
    [
      filter.tenantId,
      filter.status,
      filter.type,
      filter.lane,
      JSON.stringify(filter.metadata),
      filter.createdAfter,
      filter.createdBefore,
      backwards ? filter.before : filter.after,
      filter.createdAfter === null ? null : idAt(filter.createdAfter - ID_MARGIN_MS),
      filter.createdBefore === null ? null : idAt(filter.createdBefore + ID_MARGIN_MS),
    ],
    filter.limit,
  );
  const jobs = rows.map(toJobRecord);
  return { jobs: backwards ? jobs.reverse() : jobs, hasMore };
}

function statementFor({ lane, status, before }: JobFilter): string {
  const ofLane = lane === 'batch' ? BATCH_LANE : ANY_LANE;
  const ofStatus = status === null || isTerminal(status) ? ANY_STATUS : OPEN_STATUS;
  return before === null ? list('<', 'DESC', ofLane, ofStatus) : list('>', 'ASC', ofLane, ofStatus);
}

/**
 * An id has the clock of whoever made it, a little before the job was committed; so the index of ids tells where the jobs of a time
 * are, but for clocks that differ, and for lines of batches whose ids were noted by a scheduler that died before it made their jobs.
 */
const ID_MARGIN_MS = 3_600_000;

/** What the ids of an instant begin with. */
function idAt(instant: number): string {
  return createId('job', Math.max(0, instant), new Uint8Array());
}
