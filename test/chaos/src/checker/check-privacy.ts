import type { Evidence } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/** I11. To another tenant a job does not exist, whatever it asks; and what is written to logs is neither text nor key. */
export function checkPrivacy({ client, leaks }: Evidence): Finding[] {
  const read = client.flatMap((entry) =>
    entry.kind === 'probe' && entry.status !== 404 && entry.status < 500 && entry.status !== 429
      ? [{ about: entry.jobId, what: `another tenant's ${entry.request} was answered ${entry.status}` }]
      : [],
  );
  return [...read, ...leaks.map(({ secret, line }) => ({ about: secret, what: `is in the log: ${line}` }))];
}
