import type { Database, Queryable } from '../database.ts';

/** A target of a route (null: of every route) and what shall be true of it. What is undefined stays, null is as configured. */
export interface RouteChange {
  route: string | null;
  target: string;
  weight?: number | null | undefined;
  enabled?: boolean | null | undefined;
  /** What the configuration says; it goes into the audit where nothing else is in force. */
  configuredWeight: number | null;
}

// One change at a time: the next one reads what this one wrote.
const LOCK = `LOCK TABLE route_overrides IN SHARE ROW EXCLUSIVE MODE`;

const FIND = `SELECT weight, enabled FROM route_overrides WHERE route = $1 AND target = $2`;

const WRITE = `
INSERT INTO route_overrides (route, target, weight, enabled) VALUES ($1, $2, $3, $4)
ON CONFLICT (route, target) DO UPDATE SET weight = EXCLUDED.weight, enabled = EXCLUDED.enabled`;

const FORGET = `DELETE FROM route_overrides WHERE route = $1 AND target = $2`;

const AUDIT = `
INSERT INTO route_changes (api_key_id, tenant_id, route, target, before, after) VALUES ($1, $2, $3, $4, $5::json, $6::json)`;

interface Override {
  weight: number | null;
  enabled: boolean | null;
}

/**
 * Changes routes at run time and writes who did it, in one transaction: all of the changes or none. A change that changes
 * nothing leaves no entry. An override that says the same as the configuration stays an override until it is set to null.
 */
export async function changeRoutes(
  database: Database,
  by: { apiKeyId: string; tenantId: string },
  changes: readonly RouteChange[],
): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(LOCK);
    for (const change of changes) await changeRoute(transaction, by, change);
  });
}

async function changeRoute(
  transaction: Queryable,
  by: { apiKeyId: string; tenantId: string },
  change: RouteChange,
): Promise<void> {
  const place = [change.route ?? '', change.target];
  const [found] = await transaction.query<Override>(FIND, place);
  const before = found ?? { weight: null, enabled: null };
  const after = {
    weight: change.weight === undefined ? before.weight : change.weight,
    enabled: change.enabled === undefined ? before.enabled : change.enabled,
  };
  if (before.weight === after.weight && before.enabled === after.enabled) return;
  const isOverride = after.weight !== null || after.enabled !== null;
  await (isOverride
    ? transaction.query(WRITE, [...place, after.weight, after.enabled])
    : transaction.query(FORGET, place));
  const inForce = ({ weight, enabled }: Override): string =>
    JSON.stringify({ weight: weight ?? change.configuredWeight, enabled: enabled ?? true });
  await transaction.query(AUDIT, [by.apiKeyId, by.tenantId, ...place, inForce(before), inForce(after)]);
}
