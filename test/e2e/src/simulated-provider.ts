import { joinJournal, readJournal } from '@millrace/simulator';
import type { JournalledCall } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';

/** The provider as a test steers it and as its journal tells what happened. */
export interface SimulatedProvider {
  /** Every call that named a step, oldest first. */
  calls(): JournalledCall[];
  /** Those of one job. */
  callsOf(jobId: string): JournalledCall[];
  /** Resolves when this many calls of these jobs have arrived and none of them has been answered. */
  underWay(jobIds: readonly string[], count: number, timeoutMs?: number): Promise<void>;
  fault(rule: Record<string, unknown>): Promise<void>;
  clearFaults(): Promise<void>;
  configure(patch: Record<string, unknown>): Promise<void>;
}

export function simulatedProvider(stack: {
  simulatorUrl: string | null;
  simulatorJournalPath: string | null;
}): SimulatedProvider {
  const calls = (): JournalledCall[] =>
    joinJournal(readJournal(stack.simulatorJournalPath!)).filter((call) => call.stepId !== null);
  const order = async (method: string, path: string, body?: unknown): Promise<void> => {
    const response = await fetch(`${stack.simulatorUrl}/_simulator${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
  const callsOf = (jobId: string): JournalledCall[] =>
    calls().filter((call) => call.stepId!.startsWith(`${jobId}/`));
  return {
    calls,
    callsOf,
    async underWay(jobIds, count, timeoutMs = 15_000) {
      const open = (): number =>
        calls().filter((call) => call.end === null && jobIds.includes(call.stepId!.split('/')[0]!)).length;
      await waitFor(() => open() >= count, {
        timeoutMs,
        intervalMs: 50,
        what: () => `${count} calls to be under way; there are ${open()}`,
      });
    },
    fault: (rule) => order('POST', '/faults', rule),
    clearFaults: () => order('DELETE', '/faults'),
    configure: (patch) => order('PATCH', '/config', patch),
  };
}
