import { parseApiKey } from '@millrace/contracts';
import { findTenant, verifyApiKey } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import type { Identity } from '../http/request-context.ts';

/**
 * Whom a key stands for, or null. Answers are remembered for `REMEMBER_MS`, so that a revoked key stops working within two seconds and
 * a changed tenant limit is seen as soon.
 */
export type Identify = (key: string) => Promise<Identity | null>;

const REMEMBER_MS = 1_500;
/** Unknown keys are remembered too; whoever tries many only pushes out other entries, which costs a look into the ledger. */
const MAX_REMEMBERED = 10_000;

interface Remembered {
  identity: Promise<Identity | null>;
  until: number;
}

/** `now` is in milliseconds. Throws LedgerUnavailable when a key that is not remembered cannot be looked up. */
export function createIdentify(database: Queryable, now: () => number = Date.now): Identify {
  const remembered = new Map<string, Remembered>();
  return (key) => {
    if (!parseApiKey(key)) return Promise.resolve(null);
    const known = remembered.get(key);
    if (known && now() < known.until) return known.identity;
    const identity = lookUp(database, key);
    remembered.delete(key);
    remembered.set(key, { identity, until: now() + REMEMBER_MS });
    identity.catch(() => remembered.delete(key));
    if (remembered.size > MAX_REMEMBERED) {
      for (const oldest of remembered.keys()) {
        remembered.delete(oldest);
        break;
      }
    }
    return identity;
  };
}

async function lookUp(database: Queryable, key: string): Promise<Identity | null> {
  const record = await verifyApiKey(database, key);
  if (!record) return null;
  const tenant = await findTenant(database, record.tenantId);
  return {
    tenantId: record.tenantId,
    keyId: record.id,
    scopes: record.scopes,
    maxOpenJobs: tenant?.maxOpenJobs ?? null,
    requestsPerMinute: tenant?.requestsPerMinute ?? null,
    batchAllowed: tenant?.batchAllowed ?? true,
  };
}
