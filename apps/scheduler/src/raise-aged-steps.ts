import { findAged, raiseAged } from '@millrace/ledger';
import type { AgeingLimits, Database } from '@millrace/ledger';
import type { Producer } from '@millrace/transport';

const AT_A_TIME = 500;

/**
 * Raises every step that has waited for longer than the limits in its class to the next one: first its wake, then the ledger,
 * so that what fails in between is done again. Returns how many were raised. Throws when the ledger or the transport is away.
 */
export async function raiseAgedSteps(dependencies: {
  database: Database;
  producer: Pick<Producer, 'raiseSteps'>;
  limits: AgeingLimits;
  when: () => boolean;
}): Promise<number> {
  const { database, producer, limits } = dependencies;
  let raised = 0;
  for (;;) {
    const aged = await findAged(database, limits, AT_A_TIME);
    if (aged.length === 0) return raised;
    await producer.raiseSteps(aged);
    const count = await raiseAged(database, aged);
    raised += count;
    // Those that somebody has locked at the moment are found again: in the next round.
    if (count === 0 || aged.length < AT_A_TIME || !dependencies.when()) return raised;
  }
}
