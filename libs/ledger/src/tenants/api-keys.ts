import { createHash, randomInt, timingSafeEqual } from 'node:crypto';
import { parseApiKey, scopes as allScopes } from '@millrace/contracts';
import type { Scope } from '@millrace/contracts';
import type { Database, Queryable } from '../database.ts';
import { ensureTenant } from './tenants.ts';

/** An API key as the ledger knows it: never the secret. */
export interface ApiKeyRecord {
  id: string;
  tenantId: string;
  name: string;
  scopes: Scope[];
  createdAt: number;
  revokedAt: number | null;
}

const INSERT = `
INSERT INTO api_keys (id, tenant_id, name, secret_sha256, scopes) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING RETURNING id`;

const SAME = `SELECT FROM api_keys WHERE id = $1 AND tenant_id = $2 AND secret_sha256 = $3`;

/**
 * Stores an API key for a tenant (which is made if it does not exist) and returns its text, `mr_<keyid>_<secret>`: the
 * only time that the secret is seen. `text` registers a key that was made elsewhere; registering it twice is harmless. Throws a
 * TypeError when the text has another form, or when its id is taken by another secret or tenant.
 */
export async function createApiKey(
  database: Database,
  key: { tenantId: string; name: string; scopes: readonly Scope[]; text?: string },
): Promise<{ text: string; id: string }> {
  const text = key.text ?? `mr_${randomText(12, LOWER)}_${randomText(40, LOWER + UPPER)}`;
  const parts = parseApiKey(text);
  if (!parts) throw new TypeError('an API key has the form mr_<12 of a-z0-9>_<32 to 64 of A-Za-z0-9>');
  await ensureTenant(database, key.tenantId);
  const hash = sha256(parts.secret);
  const inserted = await database.query(INSERT, [parts.keyId, key.tenantId, key.name, hash, [...key.scopes]]);
  const stands =
    inserted.length === 1 || (await database.query(SAME, [parts.keyId, key.tenantId, hash])).length === 1;
  if (!stands)
    throw new TypeError(`the id "${parts.keyId}" is taken by a key with another secret or of another tenant`);
  return { text, id: parts.keyId };
}

const FIND = `
SELECT k.id, k.tenant_id AS "tenantId", k.name, k.scopes, k.created_at AS "createdAt", k.revoked_at AS "revokedAt",
  k.secret_sha256 AS hash FROM api_keys k WHERE k.id = $1`;

/**
 * The key that a text stands for, or null: unknown, revoked, or with another secret. Unknown ids cost the same
 * comparison as known ones.
 */
export async function verifyApiKey(database: Queryable, text: string): Promise<ApiKeyRecord | null> {
  const parts = parseApiKey(text);
  if (!parts) return null;
  const [row] = await database.query<ApiKeyRecord & { hash: Uint8Array }>(FIND, [parts.keyId]);
  const matches = timingSafeEqual(sha256(parts.secret), row?.hash ?? sha256(''));
  if (!row || !matches || row.revokedAt !== null) return null;
  const { hash: _hash, ...record } = row;
  return { ...record, scopes: record.scopes.filter((scope) => allScopes.includes(scope)) };
}

const LIST = `
SELECT id, tenant_id AS "tenantId", name, scopes, created_at AS "createdAt", revoked_at AS "revokedAt"
FROM api_keys WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY created_at, id`;

/** All keys, or those of one tenant. */
export async function listApiKeys(database: Queryable, tenantId: string | null): Promise<ApiKeyRecord[]> {
  return database.query<ApiKeyRecord>(LIST, [tenantId]);
}

const REVOKE = `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id`;

/** Revokes a key for good; false when there is none with this id. */
export async function revokeApiKey(database: Queryable, keyId: string): Promise<boolean> {
  return (await database.query(REVOKE, [keyId])).length === 1;
}

const LOWER = 'abcdefghijklmnopqrstuvwxyz0123456789';
const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

function randomText(length: number, alphabet: string): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
