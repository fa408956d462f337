import { isTerminal } from '@millrace/contracts';
import type { EventPosition } from '@millrace/contracts';
import { findEvents } from '@millrace/ledger';
import type { JobRecord, Queryable } from '@millrace/ledger';

/**
 * Where a position that a client gave lies in the job's record. `unknown`: after an event that does not exist, so nobody
 * can have got it from us. `end`: the job is over and nothing follows. Else `within`.
 */
export async function locateCursor(
  database: Queryable,
  job: JobRecord,
  after: EventPosition,
): Promise<'unknown' | 'within' | 'end'> {
  if (after.sequence === 0) return 'within';
  const [event, next] = await findEvents(database, job.id, after.sequence - 1, 2);
  if (event?.sequence !== after.sequence) return 'unknown';
  return !next && isTerminal(job.status) ? 'end' : 'within';
}
