import { parseArgs } from 'node:util';
import { parseApiKey, scopes as allScopes } from '@millrace/contracts';
import type { Scope } from '@millrace/contracts';

/** What the command line asks for. `help` carries what was wrong with it, null when help was asked for. */
export type KeysCommand =
  | { action: 'create'; tenantId: string; scopes: Scope[]; name: string }
  | { action: 'list'; tenantId: string | null }
  | { action: 'revoke'; keyId: string }
  | {
      action: 'tenant';
      tenantId: string;
      /** Whether to print the secret that signs webhooks to URLs which jobs name themselves. */
      showWebhookSecret: boolean;
      change: {
        ambiguousPolicy?: 'retry' | 'hold';
        tier?: string;
        batchAllowed?: boolean;
        maxOpenJobs?: number;
        requestsPerMinute?: number;
      };
    }
  | { action: 'help'; problem: string | null };

const options = {
  tenant: { type: 'string' },
  scopes: { type: 'string' },
  name: { type: 'string' },
  ambiguous: { type: 'string' },
  tier: { type: 'string' },
  batch: { type: 'string' },
  'max-open-jobs': { type: 'string' },
  'requests-per-minute': { type: 'string' },
  'show-webhook-secret': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

class UsageError extends Error {}

/** Reads the arguments after the program's name. Never throws: what is wrong comes back as `help`. */
export function readKeysCommand(words: readonly string[]): KeysCommand {
  try {
    return read(words);
  } catch (error) {
    // parseArgs describes unknown options well enough.
    return { action: 'help', problem: error instanceof Error ? error.message : String(error) };
  }
}

function read(words: readonly string[]): KeysCommand {
  const { values, positionals } = parseArgs({ args: [...words], options, allowPositionals: true });
  const [action, target, ...rest] = positionals;
  if (values.help || action === 'help') return { action: 'help', problem: null };
  if (rest.length > 0) throw new UsageError(`Too many words: ${rest.join(' ')}`);
  if (action !== 'revoke' && target !== undefined) throw new UsageError(`Too many words: ${target}`);
  switch (action) {
    case 'create':
      return {
        action,
        tenantId: required(values.tenant, '--tenant'),
        scopes: readScopes(required(values.scopes, '--scopes')),
        name: values.name ?? '',
      };
    case 'list':
      return { action, tenantId: values.tenant ?? null };
    case 'revoke':
      return { action, keyId: readKeyId(required(target, 'the id of a key')) };
    case 'tenants':
      return {
        action: 'tenant',
        tenantId: required(values.tenant, '--tenant'),
        showWebhookSecret: values['show-webhook-secret'] ?? false,
        change: {
          ...(values.ambiguous === undefined ? {} : { ambiguousPolicy: readPolicy(values.ambiguous) }),
          ...(values.tier === undefined ? {} : { tier: readTier(values.tier) }),
          ...(values.batch === undefined ? {} : { batchAllowed: readBatch(values.batch) }),
          ...readCount('maxOpenJobs', '--max-open-jobs', values['max-open-jobs']),
          ...readCount('requestsPerMinute', '--requests-per-minute', values['requests-per-minute']),
        },
      };
    case undefined:
      throw new UsageError('Say what to do.');
    default:
      throw new UsageError(`There is no command "${action}".`);
  }
}

function required(value: string | undefined, what: string): string {
  if (value === undefined || value === '') throw new UsageError(`Missing: ${what}`);
  return value;
}

function readScopes(text: string): Scope[] {
  const names = text.split(',').map((each) => each.trim());
  const unknown = names.filter((name) => !(allScopes as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new UsageError(`Unknown scope "${unknown.join('", "')}"; there are ${allScopes.join(', ')}.`);
  }
  return allScopes.filter((scope) => names.includes(scope));
}

/** The whole key may be given too: whoever found it somewhere has that. */
function readKeyId(text: string): string {
  const keyId = parseApiKey(text)?.keyId ?? text;
  if (!/^[a-z0-9]{12}$/.test(keyId)) throw new UsageError('The id of a key is the middle part of mr_<id>_….');
  return keyId;
}

function readPolicy(text: string): 'retry' | 'hold' {
  if (text === 'retry' || text === 'hold') return text;
  throw new UsageError(`--ambiguous is retry or hold, not "${text}".`);
}

/** Which tiers there are is said in the configuration of the workers; one that it does not name has the weight 1. */
function readTier(text: string): string {
  if (/^[a-z][a-z0-9_-]{0,31}$/.test(text)) return text;
  throw new UsageError(`--tier is a-z, then up to 31 of "a-z 0-9 _ -", not "${text}".`);
}

function readBatch(text: string): boolean {
  if (text === 'allow' || text === 'forbid') return text === 'allow';
  throw new UsageError(`--batch is allow or forbid, not "${text}".`);
}

function readCount<Name extends string>(
  name: Name,
  option: string,
  text: string | undefined,
): Partial<Record<Name, number>> {
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`${option} is a whole number from 1 to 999999999.`);
  return { [name]: Number(text) } as Partial<Record<Name, number>>;
}
