import type { Evidence } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/** I2. All answers to one key name one job, and the tenant has one job with it. */
export function checkIdempotency({ client, jobs }: Evidence): Finding[] {
  const answered = new Map<string, Set<string>>();
  for (const entry of client) {
    if (entry.kind === 'ok') answered.set(entry.key, (answered.get(entry.key) ?? new Set()).add(entry.jobId));
  }
  const stored = Map.groupBy(jobs, (record) => record.job.metadata['key'] ?? '');
  return [
    ...[...answered].flatMap(([key, ids]) =>
      ids.size === 1
        ? []
        : [{ about: key, what: `was answered with ${ids.size} jobs: ${[...ids].join(', ')}` }],
    ),
    ...[...stored].flatMap(([key, records]) =>
      records.length === 1 ? [] : [{ about: key, what: `stands for ${records.length} jobs` }],
    ),
  ];
}
