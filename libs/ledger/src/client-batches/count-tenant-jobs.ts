import type { Queryable } from '../database.ts';

const COUNT = `
SELECT t.max_open_jobs AS "maxOpenJobs", (
  SELECT count(*) FROM (SELECT FROM jobs WHERE tenant_id = $1 AND finished_at IS NULL LIMIT $2) j) AS open
FROM (SELECT 1) one LEFT JOIN tenants t ON t.id = $1`;

/** How many jobs a tenant has open (counted up to `most`), and its own limit; null: the deployment's default. */
export async function countTenantJobs(
  database: Queryable,
  tenantId: string,
  most: number,
): Promise<{ open: number; maxOpenJobs: number | null }> {
  const [row] = await database.query<{ open: number; maxOpenJobs: number | null }>(COUNT, [tenantId, most]);
  return row ?? { open: 0, maxOpenJobs: null };
}
