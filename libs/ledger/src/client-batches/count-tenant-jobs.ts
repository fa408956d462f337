import type { Queryable } from '../database.ts';

interface TenantJobs {
  open: number;
  maxOpenJobs: number | null;
  batchAllowed: boolean;
}

const COUNT = `
SELECT t.max_open_jobs AS "maxOpenJobs", coalesce(t.batch_allowed, true) AS "batchAllowed", (
  SELECT count(*) FROM (SELECT FROM jobs WHERE tenant_id = $1 AND finished_at IS NULL LIMIT $2) j) AS open
FROM (SELECT 1) one LEFT JOIN tenants t ON t.id = $1`;

/**
 * How many jobs a tenant has open (counted up to `most`), its own limit (null: the deployment's default), and whether its data may
 * lie in a provider's batch.
 */
export async function countTenantJobs(
  database: Queryable,
  tenantId: string,
  most: number,
): Promise<TenantJobs> {
  const [row] = await database.query<TenantJobs>(COUNT, [tenantId, most]);
  return row ?? { open: 0, maxOpenJobs: null, batchAllowed: true };
}
