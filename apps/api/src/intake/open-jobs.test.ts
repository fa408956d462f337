import { ProblemError } from '@millrace/contracts';
import { migrate, openDatabase } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import { createTestDatabase } from '@millrace/test-support';
import { expect, test, vi } from 'vitest';
import type { Identity } from '../http/request-context.ts';
import { createOpenJobs } from './open-jobs.ts';

test('a count that has failed for a minute refuses nobody, and one that works again refuses as before', async () => {
  const own = await createTestDatabase({ migrate });
  const ledger = openDatabase({
    url: own.url,
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'open jobs test',
  });
  let isAway = true;
  let now = 1_000_000;
  const counted = vi.fn();
  const failed = vi.fn();
  const database: Queryable = {
    async query<Row>(text: string, values?: readonly unknown[]) {
      if (isAway) throw new Error('the ledger is away');
      const rows = await ledger.query<Row>(text, values);
      counted();
      return rows;
    },
  };
  const openJobs = createOpenJobs({
    database,
    maxOpenJobs: 10,
    maxOpenJobsPerTenant: 2,
    onError: failed,
    now: () => now,
  });
  const auth: Identity = {
    tenantId: 'acme',
    keyId: 'k',
    scopes: ['jobs'],
    maxOpenJobs: null,
    requestsPerMinute: null,
    batchAllowed: true,
  };
  const admit = (): string => {
    try {
      openJobs.admit(auth);
      return 'admitted';
    } catch (error) {
      return error instanceof ProblemError ? error.code : String(error);
    }
  };
  try {
    await openJobs.start();
    await vi.waitFor(() => expect(failed).toHaveBeenCalled());
    expect([admit(), admit(), admit()]).toEqual(['admitted', 'admitted', 'tenant_limit_exceeded']);
    now += 59_999;
    expect(admit()).toBe('tenant_limit_exceeded');
    now += 1;
    expect(Array.from({ length: 20 }, admit)).toEqual(Array.from({ length: 20 }, () => 'admitted'));
    isAway = false;
    await vi.waitFor(() => expect(counted).toHaveBeenCalled(), 10_000);
    await vi.waitFor(() => expect(admit()).toBe('tenant_limit_exceeded'));
  } finally {
    await openJobs.stop();
    await ledger.close();
    await own.drop();
  }
}, 30_000);
