import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process id together with the time at which that process began, because ids are used again. */
export interface ProcessIdentity {
  pid: number;
  /** Opaque; equal for two readings of the same process. */
  startedAt: string;
}

/** The identity of a running process, or null if no such process runs. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  const startedAt = process.platform === 'linux' ? startTimeOnLinux(pid) : startTimeFromPs(pid);
  return startedAt === null ? null : { pid, startedAt };
}

/** True while exactly this process runs, and not another one that was given its id later. */
export function isSameProcessRunning(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startedAt === identity.startedAt;
}

/** Field 22 of /proc/PID/stat (proc_pid_stat(5)), counted after the command name, which may hold spaces. */
function startTimeOnLinux(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended; only its parent has not looked yet.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function startTimeFromPs(pid: number): string | null {
  try {
    const startedAt = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return startedAt === '' ? null : startedAt;
  } catch {
    return null;
  }
}
