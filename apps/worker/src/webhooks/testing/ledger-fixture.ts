import { createHash } from 'node:crypto';
import { createId } from '@millrace/contracts';
import type { Json, WebhookEventType } from '@millrace/contracts';
import {
  acceptJobs,
  advanceJob,
  createEndpoint,
  ensureTenant,
  findDelivery,
  findEndpoint,
  migrate,
  openDatabase,
} from '@millrace/ledger';
import type { Database, DeliveryRecord, EndpointRecord } from '@millrace/ledger';
import { createTestDatabase } from '@millrace/test-support';

/** A ledger of its own for one test file, and the few things that webhook tests do with it. */
export interface LedgerFixture {
  database: Database;
  addEndpoint(tenantId: string, url: string): Promise<{ id: string; secret: string }>;
  /** Runs a job to its end without any step; answers the job and its deliveries. */
  finishJob(job: {
    tenantId: string;
    output?: Json;
    url?: string;
    events?: WebhookEventType[];
  }): Promise<{ jobId: string; deliveryIds: string[] }>;
  /** Lets the time pass until the delivery is due. */
  makeDue(deliveryId: string): Promise<void>;
  delivery(tenantId: string, deliveryId: string): Promise<DeliveryRecord>;
  endpoint(tenantId: string, endpointId: string): Promise<EndpointRecord>;
  close(): Promise<void>;
}

export async function openLedgerFixture(): Promise<LedgerFixture> {
  const created = await createTestDatabase({ migrate });
  const database = openDatabase({
    url: created.url,
    maxConnections: 8,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'webhook tests',
  });
  return {
    database,
    async addEndpoint(tenantId, url) {
      await ensureTenant(database, tenantId);
      const made = await createEndpoint(database, {
        tenantId,
        url,
        events: ['job.completed'],
        description: '',
      });
      if (!made) throw new Error('the tenant has too many endpoints');
      return { id: made.endpoint.id, secret: made.secret };
    },
    async finishJob({ tenantId, output = 'done', url, events = ['job.completed'] }) {
      await ensureTenant(database, tenantId);
      const jobId = createId('job');
      await acceptJobs(database, [
        {
          id: jobId,
          tenantId,
          apiKeyId: 'aaaaaaaaaaaa',
          idempotencyKey: jobId,
          fingerprint: createHash('sha256').update(jobId).digest(),
          type: 'call',
          priority: 'standard',
          lane: 'auto',
          content: { plan: { type: 'call', model: 'openai/any', prompt: 'p' }, input: undefined, params: {} },
          metadata: { feature: 'digest' },
          webhook: url === undefined ? null : { url, events },
          requestId: 'req_1',
          traceparent: null,
          deadlineAt: null,
          maxCostMicroUsd: null,
        },
      ]);
      const { deliveryIds } = await advanceJob(database, jobId, async () => ({
        kind: 'finish',
        status: 'completed',
        output,
        error: null,
      }));
      return { jobId, deliveryIds };
    },
    async makeDue(deliveryId) {
      await database.query(
        'UPDATE webhook_deliveries SET not_before = now(), wake_at = now() WHERE id = $1',
        [deliveryId],
      );
    },
    async delivery(tenantId, deliveryId) {
      const found = await findDelivery(database, tenantId, deliveryId);
      if (!found) throw new Error(`no delivery ${deliveryId}`);
      return found;
    },
    async endpoint(tenantId, endpointId) {
      const found = await findEndpoint(database, tenantId, endpointId);
      if (!found) throw new Error(`no endpoint ${endpointId}`);
      return found;
    },
    async close() {
      await database.close();
      await created.drop();
    },
  };
}
