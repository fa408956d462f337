import { terminalStatuses } from '../observer/evidence.ts';
import type { ApiDelivery, Evidence, JobRecord } from '../observer/evidence.ts';
import type { SinkEntry } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * I9. Every webhook that arrived was signed; each ending has its delivery, which was taken (a signed 2xx under its own id) or
 * is listed as exhausted; all tries of a delivery carry one id.
 */
export function checkWebhooks({ sink, jobs, expectsWebhooks }: Evidence): Finding[] {
  if (!expectsWebhooks) return [];
  const unsigned = sink
    .filter((entry) => !entry.verified)
    .map((entry) => ({ about: entry.webhookId ?? entry.path, what: 'arrived without a valid signature' }));
  return [...unsigned, ...jobs.flatMap((record) => checkJob(record, sink))];
}

function checkJob({ job, deliveries }: JobRecord, sink: readonly SinkEntry[]): Finding[] {
  if (!terminalStatuses.includes(job.status)) return [];
  const arrived = sink.filter((entry) => entry.jobId === job.id && entry.verified);
  const ending = deliveries.filter((delivery) => delivery.event_type === `job.${job.status}`);
  const findings: Finding[] = [];
  if (ending.length === 0)
    findings.push({ about: job.id, what: `ended as ${job.status} and no webhook tells of it` });
  const receivers = new Set(ending.map((delivery) => delivery.endpoint_id));
  if (receivers.size < ending.length)
    findings.push({ about: job.id, what: 'has two deliveries of one ending to one receiver' });
  for (const delivery of deliveries) findings.push(...checkDelivery(delivery, arrived));
  const known = new Set(deliveries.map((delivery) => delivery.event_id));
  for (const entry of arrived) {
    if (!known.has(entry.webhookId ?? '')) {
      findings.push({
        about: entry.webhookId ?? '',
        what: `arrived for ${job.id}, which has no such delivery`,
      });
    }
    if (entry.type === `job.${job.status}` && entry.jobStatus !== job.status) {
      findings.push({
        about: entry.webhookId ?? '',
        what: `says ${entry.jobStatus} of a job that is ${job.status}`,
      });
    }
  }
  return findings;
}

function checkDelivery(delivery: ApiDelivery, arrived: readonly SinkEntry[]): Finding[] {
  const taken = arrived.some((entry) => entry.webhookId === delivery.event_id && entry.answered < 300);
  switch (delivery.status) {
    case 'delivered':
      return taken ? [] : [{ about: delivery.id, what: 'is called delivered and never was' }];
    case 'exhausted':
      return [];
    default:
      return [{ about: delivery.id, what: `is still ${delivery.status}` }];
  }
}
