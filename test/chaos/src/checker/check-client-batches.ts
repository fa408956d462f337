import { isDeepStrictEqual } from 'node:util';
import type { Evidence } from '../observer/evidence.ts';
import type { ClientEntry } from '../observer/journals.ts';
import type { Finding } from './check.ts';

/**
 * I15, for batches of a client's lines: each line that was sent is one job and one line of the results, with the answer that
 * was asked for, and the counts are those of the files.
 */
export function checkClientBatches({ client, jobs }: Evidence): Finding[] {
  const results = client.filter((entry) => entry.kind === 'line');
  return client.flatMap((batch) => {
    if (batch.kind !== 'batch') return [];
    const own = results.filter(({ batchId }) => batchId === batch.batchId);
    const count = (file: string): number => own.filter((line) => line.file === file).length;
    const wrong =
      batch.status === 'completed' && batch.completed === count('output') && batch.failed === count('error')
        ? []
        : [{ about: batch.batchId, what: `is ${batch.status} and counts other lines than its files have` }];
    const keys = client.flatMap((entry) => (entry.kind === 'invoke' ? [entry] : []));
    const strangers = own.filter(({ key }) => !keys.some((sent) => sent.key === key));
    return [
      ...wrong,
      ...strangers.map(({ key }) => ({
        about: batch.batchId,
        what: `has a result for ${key}, which nobody sent`,
      })),
      ...keys.flatMap((sent) =>
        checkLine(
          sent,
          own.filter(({ key }) => key === sent.key),
          jobs,
        ),
      ),
    ];
  });
}

function checkLine(
  sent: ClientEntry & { kind: 'invoke' },
  results: readonly (ClientEntry & { kind: 'line' })[],
  jobs: Evidence['jobs'],
): Finding[] {
  const about = sent.key;
  const made = jobs.filter(({ job }) => job.metadata['key'] === sent.key).length;
  const findings = made === 1 ? [] : [{ about, what: `the line became ${made} jobs` }];
  const [result] = results;
  if (!result || results.length > 1) return [...findings, { about, what: `has ${results.length} results` }];
  const { response } = JSON.parse(result.text) as { response: { body?: ChatBody } | null };
  const answer = response?.body?.choices?.[0]?.message?.content ?? null;
  if (isDeepStrictEqual(answer, sent.expect.output)) return findings;
  return [...findings, { about, what: `its result says ${JSON.stringify(answer)}` }];
}

interface ChatBody {
  choices?: { message?: { content?: string } }[];
}
