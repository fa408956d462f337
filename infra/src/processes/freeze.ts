import { readdirSync, readFileSync } from 'node:fs';

/**
 * For tests, on Linux: stops a process and everything below it (SIGSTOP), as a machine that hangs; returns what lets it go
 * on. Those that have ended are passed over.
 */
export function freeze(pid: number): () => void {
  const frozen = [pid, ...descendantsOf(pid)];
  for (const each of frozen) send(each, 'SIGSTOP');
  return () => {
    for (const each of frozen) send(each, 'SIGCONT');
  };
}

function descendantsOf(pid: number): number[] {
  const children = Map.groupBy(
    readdirSync('/proc').filter((name) => /^\d+$/.test(name)),
    (name) => parentOf(Number(name)),
  );
  const found: number[] = [];
  for (const pending = [pid]; pending.length > 0;) {
    const below = (children.get(pending.pop() ?? 0) ?? []).map(Number);
    found.push(...below);
    pending.push(...below);
  }
  return found;
}

function parentOf(pid: number): number | null {
  try {
    // The program's name stands in parentheses and may hold anything; the parent is the second field after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
