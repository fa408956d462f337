import { hasDefect } from '@millrace/faults';
import type { Queryable } from '../database.ts';
import { jobColumns, toJobRecord } from './job-row.ts';
import type { JobRecord, JobRow } from './job-row.ts';

const FIND = `SELECT ${jobColumns} FROM jobs WHERE id = $1 AND tenant_id = $2`;

/** The job with this id if it belongs to the tenant, else null: a foreign id answers like an unknown one. */
export async function findJob(
  database: Queryable,
  tenantId: string,
  jobId: string,
): Promise<JobRecord | null> {
  const find = hasDefect('cross-tenant-read') ? FIND.replace('tenant_id = $2', '$2::text IS NOT NULL') : FIND;
  const [row] = await database.query<JobRow>(find, [jobId, tenantId]);
  return row ? toJobRecord(row) : null;
}
