import { terminalStatuses } from '../observer/evidence.ts';
import type { ApiDelivery, Evidence, JobRecord } from '../observer/evidence.ts';
import type { SinkEntry } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/** So often a receiver must have refused a webhook before its delivery may be given up (docs/api.md). */
const MOST_TRIES = 10;

/**
 * I9. Every webhook that arrived was signed; each ending has its delivery, which was taken (a signed 2xx under its own id at
 * its own address) or is listed as exhausted after its receiver had refused it each time; all tries of a delivery carry one
 * id.
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
  const known = new Set(deliveries.map((delivery) => `${pathOf(delivery)} ${delivery.event_id}`));
  for (const entry of arrived) {
    if (!known.has(`${entry.path} ${entry.webhookId}`)) {
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
  const answers = arrived.flatMap(({ webhookId, path, answered }) =>
    webhookId === delivery.event_id && path === pathOf(delivery) ? [answered] : [],
  );
  const isTaken = answers.some((status) => status < 300);
  switch (delivery.status) {
    case 'delivered':
      return isTaken ? [] : [{ about: delivery.id, what: 'is called delivered and never was' }];
    case 'exhausted': {
      if (!isTaken && answers.length >= MOST_TRIES) return [];
      const what = `was given up, and its receiver was up: it answered ${answers.join(', ') || 'nothing'}`;
      return [{ about: delivery.id, what }];
    }
    default:
      return [{ about: delivery.id, what: `is still ${delivery.status}` }];
  }
}

function pathOf({ url }: ApiDelivery): string {
  return new URL(url).pathname;
}
