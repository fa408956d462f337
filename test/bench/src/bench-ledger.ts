import { createId } from '@millrace/contracts';
import { acceptJobs, openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';

/** The tenant of jobs that a bench puts in the ledger by itself. */
export const benchTenant = 'bench';

/** Opens the ledger. */
export function openBenchLedger(databaseUrl: string): Database {
  return openDatabase({
    url: databaseUrl,
    maxConnections: 10,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'bench',
  });
}

/** Accepts jobs that nobody works on; answers their ids. */
export async function acceptBenchJobs(database: Database, count: number): Promise<string[]> {
  const jobs = Array.from({ length: count }, () => ({
    id: createId('job'),
    tenantId: benchTenant,
    apiKeyId: 'bench',
    idempotencyKey: null,
    fingerprint: new Uint8Array(32),
    type: 'call',
    priority: 'standard' as const,
    lane: 'realtime' as const,
    content: { plan: {}, input: undefined, params: {} },
    metadata: {},
    webhook: null,
    requestId: 'bench',
    traceparent: null,
    deadlineAt: null,
    maxCostMicroUsd: null,
  }));
  await acceptJobs(database, jobs);
  return jobs.map(({ id }) => id);
}
