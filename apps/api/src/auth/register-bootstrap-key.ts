import { scopes } from '@millrace/contracts';
import type { Service } from '@millrace/contracts';
import { LedgerUnavailable, createApiKey } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import type { Logger } from '@millrace/telemetry';

const RETRY_MS = 1_000;

/**
 * Registers MILLRACE_BOOTSTRAP_KEY for the tenant `default` with all scopes. While the ledger is away it tries again in the
 * background, so that the API starts all the same; one that is registered already stays as it is.
 */
export function createBootstrapKeyRegistration(options: {
  database: Database;
  key: string | null;
  log: Logger;
}): Service {
  const { database, key, log } = options;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let underWay: Promise<void> = Promise.resolve();

  const register = async (text: string): Promise<void> => {
    try {
      const { id } = await createApiKey(database, {
        tenantId: 'default',
        name: 'bootstrap',
        scopes,
        text,
      });
      log.info({ key_id: id, tenant: 'default' }, 'bootstrap key registered');
    } catch (err) {
      // A missing table means that the migrations have not run yet.
      const passing = err instanceof LedgerUnavailable ? 'the ledger is away' : 'it failed';
      log.warn({ err, reason: passing, retry_after_ms: RETRY_MS }, 'bootstrap key not registered yet');
      if (!stopped) timer = setTimeout(begin, RETRY_MS, text);
    }
  };
  const begin = (text: string): void => {
    underWay = register(text);
  };

  return {
    name: 'bootstrap key',
    async start() {
      if (key === null) return;
      begin(key);
      // Whoever waits for the API to listen means to use the key at once.
      await underWay;
    },
    async stop() {
      stopped = true;
      if (timer) clearTimeout(timer);
      await underWay;
    },
  };
}
