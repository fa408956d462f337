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

const list = (comparison: '<' | '>', direction: 'ASC' | 'DESC', lane: string) =>
  cutToBytes(
    `
SELECT ${jobColumns} FROM jobs
WHERE tenant_id = $1
  AND ($2::text IS NULL OR status = $2)
  AND ($3::text IS NULL OR type = $3)
  AND ${lane}
  AND ($5::jsonb = '{}' OR metadata @> $5 AND metadata <> '{}')
  AND ($6::float8 IS NULL OR created_at > to_timestamp($6 / 1000))
  AND ($7::float8 IS NULL OR created_at < to_timestamp($7 / 1000))
  AND ($8::text IS NULL OR id ${comparison} $8)
ORDER BY id ${direction} LIMIT $9`,
    `id ${direction}`,
  );

const OLDER = list('<', 'DESC', ANY_LANE);
const NEWER = list('>', 'ASC', ANY_LANE);
const OLDER_IN_BATCH = list('<', 'DESC', BATCH_LANE);
const NEWER_IN_BATCH = list('>', 'ASC', BATCH_LANE);

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
    ],
    filter.limit,
  );
  const jobs = rows.map(toJobRecord);
  return { jobs: backwards ? jobs.reverse() : jobs, hasMore };
}

function statementFor({ lane, before }: JobFilter): string {
  if (lane === 'batch') return before === null ? OLDER_IN_BATCH : NEWER_IN_BATCH;
  return before === null ? OLDER : NEWER;
}
