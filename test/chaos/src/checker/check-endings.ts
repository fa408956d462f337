import { isDeepStrictEqual } from 'node:util';
import { terminalEvents, terminalStatuses } from '../observer/evidence.ts';
import type { Evidence, JobRecord } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/**
 * I1. Every job that was acknowledged is there and has ended as it should; it has exactly one terminal event, the last one,
 * of the same kind; and nobody ever saw an end that is not the present one.
 */
export function checkEndings({ client, jobs }: Evidence): Finding[] {
  const byId = new Map(jobs.map((record) => [record.job.id, record]));
  const lost = client.flatMap((entry) =>
    entry.kind === 'ok' && !byId.has(entry.jobId)
      ? [{ about: entry.jobId, what: `was acknowledged for key ${entry.key} and is not there` }]
      : [],
  );
  return [...dedupe(lost), ...jobs.flatMap((record) => checkJob(record, client))];
}

function checkJob(record: JobRecord, client: Evidence['client']): Finding[] {
  const { job, events } = record;
  if (!terminalStatuses.includes(job.status)) {
    return [{ about: job.id, what: `has not ended: ${job.status}` }];
  }
  return [
    ...checkEvents(record),
    ...checkExpectation(record, client),
    ...(events.length > 0 ? [] : [{ about: job.id, what: 'has no events' }]),
    ...client.flatMap((entry) => {
      if (entry.kind !== 'seen' || entry.jobId !== job.id || !terminalStatuses.includes(entry.status))
        return [];
      const same = entry.status === job.status && isDeepStrictEqual(entry.output, job.output);
      return same
        ? []
        : [
            {
              about: job.id,
              what: `was ${entry.status} at ${entry.at} and is ${job.status}, or its output changed`,
            },
          ];
    }),
  ];
}

function checkEvents({ job, events }: JobRecord): Finding[] {
  const endings = events.filter((event) => terminalEvents.includes(event.type));
  if (events.length === 0) return [];
  if (endings.length !== 1) {
    return [{ about: job.id, what: `has ${endings.length} terminal events` }];
  }
  if (events.at(-1)?.type !== `job.${job.status}`) {
    return [{ about: job.id, what: `is ${job.status} and its last event is ${events.at(-1)?.type}` }];
  }
  return [];
}

function checkExpectation({ job }: JobRecord, client: Evidence['client']): Finding[] {
  const key = job.metadata['key'];
  const invoked = client.find((entry) => entry.kind === 'invoke' && entry.key === key);
  if (invoked?.kind !== 'invoke') return [{ about: job.id, what: `nobody submitted it (key ${key})` }];
  const { statuses, output } = invoked.expect;
  if (!statuses.includes(job.status)) {
    const why = job.error === null ? '' : ` (${job.error.code}: ${job.error.message})`;
    return [{ about: job.id, what: `ended as ${job.status}${why}, not as ${statuses.join(' or ')}` }];
  }
  if (job.status !== 'completed' || output === undefined || isDeepStrictEqual(job.output, output)) return [];
  return [
    { about: job.id, what: `has the output ${JSON.stringify(job.output)}, not ${JSON.stringify(output)}` },
  ];
}

function dedupe(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((finding) => [finding.about, finding])).values()];
}
