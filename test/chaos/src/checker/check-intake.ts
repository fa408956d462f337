import type { Evidence } from '../observer/evidence.ts';
import type { Finding } from './check.ts';

/**
 * I1, at its beginning. Whatever befalls the product, a client that repeats itself gets its job accepted within its
 * patience; no campaign sends a job that may be refused.
 */
export function checkIntake({ client }: Evidence): Finding[] {
  const accepted = new Set(client.flatMap((entry) => (entry.kind === 'ok' ? [entry.key] : [])));
  const refused = new Map<string, string>();
  for (const entry of client) {
    if (entry.kind === 'gave-up') refused.set(entry.key, `${entry.tries} tries, last: ${entry.last}`);
    // A client that broke off has not noted that it did. Lines of a client's batch have no answers of their own.
    if ((entry.kind !== 'fail' && entry.kind !== 'unknown') || accepted.has(entry.key)) continue;
    if (!refused.has(entry.key)) refused.set(entry.key, `${entry.try} tries`);
  }
  return [...refused].map(([key, why]) => ({
    about: key,
    what: `the API did not take the job within its patience (${why})`,
  }));
}
