import { createHash } from 'node:crypto';
import { createId } from '@millrace/contracts';
import type { NewJob } from '../jobs/accept-jobs.ts';

export const testTenant = 'acme';

/** A job as the intake would commit it, with a key of its own; `change` says what the test is about. */
export function newJob(change: Partial<NewJob> = {}): NewJob {
  const id = change.id ?? createId('job');
  return {
    id,
    tenantId: testTenant,
    apiKeyId: 'testkey00000',
    idempotencyKey: `key of ${id}`,
    fingerprint: fingerprint('the body'),
    type: 'call',
    priority: 'standard',
    lane: 'auto',
    content: { plan: { type: 'call', model: 'openai/any', prompt: 'p' }, input: undefined, params: {} },
    metadata: {},
    webhook: null,
    requestId: 'req_test',
    traceparent: null,
    deadlineAt: null,
    maxCostMicroUsd: null,
    ...change,
  };
}

/** The fingerprint of a body, as the intake takes it. */
export function fingerprint(body: string): Buffer {
  return createHash('sha256').update(body).digest();
}
