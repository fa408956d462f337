import type { Queryable } from '../database.ts';

const FIND = `SELECT webhook_secret FROM tenants WHERE id = $1`;

/** The secret that signs webhooks to URLs which jobs name themselves; null for an unknown tenant. */
export async function findWebhookSecret(database: Queryable, tenantId: string): Promise<string | null> {
  const [row] = await database.query<{ webhook_secret: string }>(FIND, [tenantId]);
  return row?.webhook_secret ?? null;
}
