import { setTimeout as delay } from 'node:timers/promises';
import { isSameProcessRunning, type ProcessIdentity } from './process-identity.ts';

/**
 * Ends a process that is not a child of this one: each signal in turn, then SIGKILL, with `graceMs` after each.
 * Rejects if the process is still there after SIGKILL.
 */
export async function endProcess(
  identity: ProcessIdentity,
  signals: readonly NodeJS.Signals[],
  graceMs: number,
): Promise<void> {
  for (const signal of [...signals, 'SIGKILL'] as const) {
    sendSignal(identity.pid, signal);
    const deadlineAt = Date.now() + graceMs;
    // Nothing tells of the end of a process that is not a child, so this looks.
    while (Date.now() < deadlineAt) {
      if (!isSameProcessRunning(identity)) return;
      await delay(20);
    }
  }
  throw new Error(`process ${identity.pid} is still running after SIGKILL`);
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
