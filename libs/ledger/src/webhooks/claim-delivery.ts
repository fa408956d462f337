import type { EndpointEventType } from '@millrace/contracts';
import type { Database, Queryable } from '../database.ts';
import { findJob } from '../jobs/find-job.ts';
import type { JobRecord } from '../jobs/job-row.ts';
import { earlierSecrets } from './endpoint-row.ts';

/** A delivery that the caller now holds until its lease runs out, with all it needs to send it. */
export interface ClaimedDelivery {
  id: string;
  /** Every write about this claim must carry it. */
  fence: number;
  tenantId: string;
  /** The request that the job came with. */
  requestId: string;
  /** The webhook-id. */
  eventId: string;
  eventType: EndpointEventType;
  /** When the event happened, in milliseconds since 1970. */
  eventAt: number;
  endpointId: string | null;
  url: string;
  /** The secrets that sign now, the newest first. */
  secrets: string[];
  /** 1 for the first try of all. */
  tryNumber: number;
  /** 1 for the first try since the delivery was made or last repeated: the place in the schedule. */
  roundTry: number;
  /** What it tells of: a job as it is now, or a batch of the OpenAI-compatible routes. */
  about: { kind: 'job'; job: JobRecord } | { kind: 'batch'; batchId: string };
}

const CLAIM = `
WITH due AS (
  SELECT d.id, d.tenant_id, d.job_id, d.client_batch_id, d.endpoint_id FROM webhook_deliveries d
  WHERE d.id = $1 AND d.status = 'pending' AND d.not_before <= now() + interval '50 milliseconds'
  FOR NO KEY UPDATE
), receiver AS (
  SELECT due.id, coalesce(j.request_id, b.request_id) AS request_id, t.webhook_secret, e.url, e.secret,
    ARRAY(SELECT earlier.secret FROM ${earlierSecrets}
      WHERE earlier.expires_at > now() ORDER BY earlier.expires_at DESC) AS earlier_secrets,
    due.endpoint_id IS NULL OR (e.enabled AND e.deleted_at IS NULL) AS open,
    e.disabled_reason IS NOT NULL AND e.deleted_at IS NULL AS gave_up
  FROM due LEFT JOIN jobs j ON j.id = due.job_id LEFT JOIN client_batches b ON b.id = due.client_batch_id
    JOIN tenants t ON t.id = due.tenant_id
    LEFT JOIN webhook_endpoints e ON e.id = due.endpoint_id
)
UPDATE webhook_deliveries d SET
  status = CASE WHEN r.open THEN 'pending' WHEN r.gave_up THEN 'exhausted' ELSE 'cancelled' END,
  finished_at = CASE WHEN r.open THEN NULL ELSE now() END,
  not_before = now() + $2 * interval '1 millisecond',
  wake_at = CASE WHEN r.open THEN now() + $2 * interval '1 millisecond' END,
  wake_count = 0, fence = d.fence + 1, url = coalesce(r.url, d.url)
FROM receiver r WHERE d.id = r.id
RETURNING d.id, d.fence, d.tenant_id, d.job_id, d.client_batch_id, d.event_id, d.event_type, d.created_at, d.endpoint_id, d.url, d.tries,
  d.tries_before, d.status, r.request_id, coalesce(r.secret, r.webhook_secret) AS secret, r.earlier_secrets`;

/**
 * Claims a delivery for `leaseMs`: nobody else may try it before that time has passed, and each claim raises the fence, so
 * that a former holder's result is refused. Null when it is not due, is held by somebody, or has ended; a delivery whose
 * endpoint was disabled or deleted in the meantime is ended here.
 */
export async function claimDelivery(
  database: Database,
  deliveryId: string,
  leaseMs: number,
): Promise<ClaimedDelivery | null> {
  return database.transaction(async (transaction) => {
    const [row] = await transaction.query<ClaimRow>(CLAIM, [deliveryId, leaseMs]);
    if (row?.status !== 'pending') return null;
    const about = await findSubject(transaction, row);
    // The delivery refers to it; deleting the job would have taken the delivery along.
    return about && toClaimedDelivery(row, about);
  });
}

async function findSubject(transaction: Queryable, row: ClaimRow): Promise<ClaimedDelivery['about'] | null> {
  if (row.client_batch_id !== null) return { kind: 'batch', batchId: row.client_batch_id };
  const job = row.job_id === null ? null : await findJob(transaction, row.tenant_id, row.job_id);
  return job && { kind: 'job', job };
}

interface ClaimRow {
  id: string;
  fence: number;
  tenant_id: string;
  request_id: string;
  job_id: string | null;
  client_batch_id: string | null;
  event_id: string;
  event_type: EndpointEventType;
  created_at: number;
  endpoint_id: string | null;
  url: string;
  tries: number;
  tries_before: number;
  status: string;
  secret: string;
  earlier_secrets: string[];
}

function toClaimedDelivery(row: ClaimRow, about: ClaimedDelivery['about']): ClaimedDelivery {
  return {
    id: row.id,
    fence: row.fence,
    tenantId: row.tenant_id,
    requestId: row.request_id,
    eventId: row.event_id,
    eventType: row.event_type,
    eventAt: row.created_at,
    endpointId: row.endpoint_id,
    url: row.url,
    secrets: [row.secret, ...row.earlier_secrets],
    tryNumber: row.tries + 1,
    roundTry: row.tries - row.tries_before + 1,
    about,
  };
}
