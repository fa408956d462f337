import { createHmac } from 'node:crypto';
import type { Simulator } from '../../simulator.ts';
import { hasEnded, type BatchRecord } from './batch-record.ts';

/** Waits before each attempt, on the real clock; after the last the event is given up. */
const ATTEMPTS_AFTER_MS = [0, 500, 2_000, 5_000] as const;
const TIMEOUT_MS = 5_000;

/** Posts `batch.completed`, `.failed`, `.expired` or `.cancelled` to the configured address until a 2xx answers. */
export async function sendBatchWebhook(simulator: Simulator, batch: BatchRecord): Promise<void> {
  const { url, secret } = simulator.config().webhooks;
  if (url === null || !hasEnded(batch)) return;
  const type = `batch.${batch.status}`;
  const id = simulator.nextId('evt_');
  const createdAt = Math.floor(simulator.clock.realMs() / 1_000);
  const body = JSON.stringify({ id, object: 'event', type, created_at: createdAt, data: { id: batch.id } });
  for (const [index, afterMs] of ATTEMPTS_AFTER_MS.entries()) {
    await pause(afterMs);
    if (simulator.batches.stopped()) return;
    const status = await post(url, body, webhookHeaders(id, body, secret, simulator.clock.realMs()));
    simulator.journal.note({
      event: 'webhook.sent',
      account: batch.account,
      batchId: batch.id,
      type,
      attempt: index + 1,
      status,
    });
    if (status !== null && status >= 200 && status < 300) return;
  }
}

/** Standard Webhooks 1.0.0: HMAC-SHA256 over id, seconds and body; the id stays the same over attempts. */
function webhookHeaders(id: string, body: string, secret: string, nowMs: number): Record<string, string> {
  const seconds = Math.floor(nowMs / 1_000);
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  };
}

async function post(url: string, body: string, headers: Record<string, string>): Promise<number | null> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(url, { method: 'POST', body, headers, redirect: 'manual', signal });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return null;
  }
}

async function pause(durationMs: number): Promise<void> {
  if (durationMs === 0) return;
  await new Promise<void>((resolve) => {
    setTimeout(resolve, durationMs).unref();
  });
}
