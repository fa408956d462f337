import type { Evidence } from '../observer/evidence.ts';
import type { FaultEntry, ProviderCall } from '../observer/journals.ts';

/** Two clocks of one machine, and the time between a line in a journal and what it speaks of. */
const SLACK_MS = 1_000;

/**
 * Whether a fault landed that can have lost the answer of this call: between its arrival at the provider and `goneAt`, when
 * the product went on without it. Of a batch's line the vendor alone can withhold the answer, for it keeps it until it is read.
 */
export function isLossExplained(
  call: ProviderCall,
  goneAt: string | null,
  { run, faults }: Pick<Evidence, 'run' | 'faults'>,
): boolean {
  const from = Date.parse(call.at) - SLACK_MS;
  const until = Date.parse(goneAt ?? call.end?.at ?? call.at) + SLACK_MS;
  const canLose = call.batchId === null ? canLoseAnswer : canWithholdLine;
  return faults.some(
    (fault) =>
      fault.landed &&
      canLose(fault, call, run) &&
      Date.parse(fault.startAt) <= until &&
      Date.parse(fault.endAt) + lingersMs(fault) >= from,
  );
}

/**
 * Who can lose an answer that was on its way: the worker, which runs of one stack share, so that it may have died of another
 * run's fault; PostgreSQL, without which no lease is renewed and no answer recorded; and the call's own way to its provider.
 * Redis, the API and the scheduler have no part in it, unless a fault of theirs killed every process.
 */
function canLoseAnswer(fault: FaultEntry, call: ProviderCall): boolean {
  if (['worker', 'poisoned worker', 'postgres'].includes(fault.target)) return true;
  if (fault.kind.endsWith('.down-at-start')) return true;
  return fault.kind.startsWith('provider.network-') && fault.detail?.['account'] === call.account;
}

function canWithholdLine(fault: FaultEntry, _call: ProviderCall, run: string): boolean {
  return fault.target === 'provider' && fault.run === run;
}

/** What was asked to stop ends its calls only when its time of grace is over. */
function lingersMs(fault: FaultEntry): number {
  const lingers = fault.detail?.['lingersMs'];
  return typeof lingers === 'number' ? lingers : 0;
}
