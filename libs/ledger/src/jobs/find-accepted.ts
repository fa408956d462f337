import type { Queryable } from '../database.ts';

const FIND = `SELECT id AS "jobId", fingerprint FROM jobs WHERE tenant_id = $1 AND idempotency_key = $2`;

/** What a tenant's idempotency key stands for: a job and the fingerprint of its request; null when it was never accepted. */
export async function findAccepted(
  database: Queryable,
  tenantId: string,
  idempotencyKey: string,
): Promise<{ jobId: string; fingerprint: Uint8Array } | null> {
  const [row] = await database.query<{ jobId: string; fingerprint: Uint8Array }>(FIND, [
    tenantId,
    idempotencyKey,
  ]);
  return row ?? null;
}
