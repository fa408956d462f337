import {
  createApiKey,
  ensureTenant,
  findTenant,
  findWebhookSecret,
  listApiKeys,
  revokeApiKey,
  updateTenant,
} from '@millrace/ledger';
import type { ApiKeyRecord, Database, TenantRecord } from '@millrace/ledger';
import type { KeysCommand } from './keys-command.ts';

/** What to print, and whether what was asked for exists. */
export interface KeysAnswer {
  lines: string[];
  /** For people only: what a script that reads the lines must not find in them. */
  note?: string;
  found: boolean;
}

/** Does what a command asks. Throws TypeError for a tenant id of the wrong form. */
export async function runKeysCommand(
  database: Database,
  command: Exclude<KeysCommand, { action: 'help' }>,
): Promise<KeysAnswer> {
  switch (command.action) {
    case 'create': {
      const { text } = await createApiKey(database, command);
      return {
        note: `The key of the tenant ${command.tenantId} with ${command.scopes.join(', ')}; it is shown only now:`,
        lines: [text],
        found: true,
      };
    }
    case 'list': {
      const keys = await listApiKeys(database, command.tenantId);
      return { lines: keys.length === 0 ? ['There are no keys.'] : keys.map(describeKey), found: true };
    }
    case 'revoke': {
      const found = await revokeApiKey(database, command.keyId);
      return { lines: [found ? `Revoked ${command.keyId}.` : `There is no key ${command.keyId}.`], found };
    }
    case 'tenant': {
      if (Object.keys(command.change).length > 0) {
        await ensureTenant(database, command.tenantId);
        await updateTenant(database, command.tenantId, command.change);
      }
      const tenant = await findTenant(database, command.tenantId);
      if (!tenant) return { lines: [`There is no tenant ${command.tenantId}.`], found: false };
      if (!command.showWebhookSecret) return { lines: describeTenant(tenant), found: true };
      const secret = await findWebhookSecret(database, command.tenantId);
      return {
        note: 'This secret signs webhooks to URLs that jobs name themselves:',
        lines: [secret ?? ''],
        found: secret !== null,
      };
    }
  }
}

function describeKey(key: ApiKeyRecord): string {
  const state =
    key.revokedAt === null ? 'active' : `revoked ${new Date(key.revokedAt).toISOString().slice(0, 16)}Z`;
  const made = `made ${new Date(key.createdAt).toISOString().slice(0, 16)}Z`;
  return [key.id, key.tenantId, key.scopes.join(','), state, made, key.name].join('  ').trimEnd();
}

function describeTenant(tenant: TenantRecord): string[] {
  const orDefault = (limit: number | null): string => (limit === null ? 'the default' : String(limit));
  return [
    `tenant               ${tenant.id}`,
    `tier                 ${tenant.tier}`,
    `ambiguous            ${tenant.ambiguousPolicy}`,
    `max open jobs        ${orDefault(tenant.maxOpenJobs)}`,
    `requests per minute  ${orDefault(tenant.requestsPerMinute)}`,
    `provider batches     ${tenant.batchAllowed ? 'allowed' : 'forbidden'}`,
  ];
}
