import { randomBytes } from 'node:crypto';
import type { Queryable } from '../database.ts';

/** Who submits work, and by which rules. `null` limits stand for the deployment's defaults. */
export interface TenantRecord {
  id: string;
  tier: string;
  ambiguousPolicy: 'retry' | 'hold';
  maxOpenJobs: number | null;
  requestsPerMinute: number | null;
  /** False where the tenant's data must not lie in a provider's batch files: its jobs never take the batch lane. */
  batchAllowed: boolean;
}

/** A webhook secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64. */
export function newWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

const ENSURE = `INSERT INTO tenants (id, webhook_secret) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`;

/** Makes a tenant unless it exists. Ids are 1–64 of `a-z 0-9 - _`, TypeError otherwise. */
export async function ensureTenant(database: Queryable, tenantId: string): Promise<void> {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(tenantId)) {
    throw new TypeError(
      `tenant ids are 1–64 of "a-z 0-9 - _", beginning with a letter or digit; got "${tenantId}"`,
    );
  }
  await database.query(ENSURE, [tenantId, newWebhookSecret()]);
}

const FIND = `
SELECT id, tier, ambiguous_policy AS "ambiguousPolicy", max_open_jobs AS "maxOpenJobs",
  requests_per_minute AS "requestsPerMinute", batch_allowed AS "batchAllowed" FROM tenants WHERE id = $1`;

/** The tenant with this id, or null. */
export async function findTenant(database: Queryable, tenantId: string): Promise<TenantRecord | null> {
  const [row] = await database.query<TenantRecord>(FIND, [tenantId]);
  return row ?? null;
}

const UPDATE = `
UPDATE tenants SET ambiguous_policy = coalesce($2, ambiguous_policy), tier = coalesce($3, tier),
  max_open_jobs = CASE WHEN $4::boolean THEN $5::integer ELSE max_open_jobs END,
  requests_per_minute = CASE WHEN $6::boolean THEN $7::integer ELSE requests_per_minute END,
  batch_allowed = coalesce($8, batch_allowed)
WHERE id = $1 RETURNING id`;

/** Changes what is given (a limit of null: back to the deployment's default), keeps the rest; false when there is no such tenant. */
export async function updateTenant(
  database: Queryable,
  tenantId: string,
  change: Partial<Omit<TenantRecord, 'id'>>,
): Promise<boolean> {
  const rows = await database.query(UPDATE, [
    tenantId,
    change.ambiguousPolicy,
    change.tier,
    change.maxOpenJobs !== undefined,
    change.maxOpenJobs,
    change.requestsPerMinute !== undefined,
    change.requestsPerMinute,
    change.batchAllowed,
  ]);
  return rows.length === 1;
}

const COUNT_OPEN = `SELECT tenant_id AS "tenantId", count(*)::int AS open FROM jobs WHERE finished_at IS NULL GROUP BY tenant_id`;

/** Jobs that have not ended, per tenant. */
export async function countOpenJobs(database: Queryable): Promise<Map<string, number>> {
  const rows = await database.query<{ tenantId: string; open: number }>(COUNT_OPEN);
  return new Map(rows.map((row) => [row.tenantId, row.open]));
}
