import { escapeBatch, escapeLateSteps } from '@millrace/ledger';
import type { EscapedSteps } from '@millrace/ledger';
import type { LaneDependencies } from './lane-dependencies.ts';
import { tell } from './tell.ts';

const AT_A_TIME = 500;

/** Takes every step whose time has come out of the lane. Batches in which nothing is wanted any more are cancelled when they are looked at. */
export async function escapeLate(dependencies: LaneDependencies): Promise<void> {
  for (;;) {
    const escaped = await escapeLateSteps(dependencies.database, AT_A_TIME);
    await report(dependencies, escaped, 'deadline');
    if (Math.max(escaped.fromBatches, escaped.fromCollected) < AT_A_TIME) return;
  }
}

/** Takes all steps that still wait for a batch out of it; they go on in realtime. */
export async function escapeWholeBatch(
  dependencies: LaneDependencies,
  batchId: string,
  reason: string,
): Promise<void> {
  for (;;) {
    const escaped = await escapeBatch(dependencies.database, batchId, reason, AT_A_TIME);
    await report(dependencies, escaped, reason);
    if (escaped.fromBatches < AT_A_TIME) return;
  }
}

async function report(
  dependencies: LaneDependencies,
  { wakes, events, fromBatches, fromCollected }: EscapedSteps,
  reason: string,
): Promise<void> {
  if (wakes.length === 0) return;
  const { metrics, log } = dependencies;
  metrics.batchEscapes.inc({ reason }, wakes.length);
  log.warn(
    { reason, count: wakes.length, lines: fromBatches, collected: fromCollected },
    'steps left the batch lane',
  );
  await tell(dependencies, { wakes, events });
}
