import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

/** How a process ended: an exit code, or the signal that ended it. */
export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A child that does not outlive this process, whatever happens to this process. */
export interface GuardedProcess {
  /** The id of the command itself (not of a shell around it). */
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once the process has ended and its output was read to the end. Never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** True until the process has ended. */
  isRunning(): boolean;
  /** Sends a signal; false if the process has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** Sends `signal`, waits `graceMs`, then kills. May be called twice, and after the end. */
  stop(request: { signal: NodeJS.Signals; graceMs: number }): Promise<ProcessExit>;
}

/** What to run, and how to end it should this process vanish. */
export interface GuardedCommand {
  command: string;
  arguments: readonly string[];
  environment: NodeJS.ProcessEnv;
  workingDirectory?: string;
  userId?: number;
  groupId?: number;
  /** The signal that the guard sends when this process is gone. */
  orphanSignal: 'INT' | 'TERM' | 'KILL';
  /** How long the guard then waits before it kills. */
  orphanGraceMs: number;
}

/**
 * The guard. A shell starts it in the background and then becomes the command (`exec`), so that the child's id,
 * exit code and signal are the command's own. The guard holds the reading end of a pipe from this process: the
 * end of that pipe without the word "released" means that this process is gone, kill -9 included.
 */
const guardScript = `
guard() {
  trap '' HUP INT TERM
  while read -r word <&3; do [ "$word" = released ] && exit 0; done
  kill -s "$2" "$1" || exit 0
  seconds=0
  while kill -0 "$1" && [ "$seconds" -lt "$3" ]; do sleep 1; seconds=$((seconds + 1)); done
  kill -s KILL "$1"
}
signal=$1
grace=$2
shift 2
( ( guard $$ "$signal" "$grace" ) </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-
`;

/**
 * Starts a command in a session of its own (a terminal's Ctrl-C does not reach it) under a guard that ends it when
 * this process dies in whatever way. Rejects if the command cannot be started.
 */
export async function spawnGuarded(command: GuardedCommand): Promise<GuardedProcess> {
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      guardScript,
      'guard',
      command.orphanSignal,
      String(Math.ceil(command.orphanGraceMs / 1000)),
      command.command,
      ...command.arguments,
    ],
    {
      detached: true,
      env: command.environment,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      ...(command.workingDirectory === undefined ? {} : { cwd: command.workingDirectory }),
      ...(command.userId === undefined ? {} : { uid: command.userId }),
      ...(command.groupId === undefined ? {} : { gid: command.groupId }),
    },
  );
  const [, stdout, stderr, pipe] = child.stdio;
  if (stdout === null || stderr === null || !pipe || !('write' in pipe)) {
    throw new Error('the child has no pipes');
  }
  // The guard may be gone first, when the whole group was killed; that is no error.
  pipe.on('error', () => undefined);

  let running = true;
  child.once('exit', () => {
    running = false;
    pipe.end('released\n');
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${command.command} did not start`);

  return {
    pid,
    stdout,
    stderr,
    exited,
    isRunning: () => running,
    signal: (signal) => running && child.kill(signal),
    stop: async ({ signal, graceMs }) => {
      if (!running) return exited;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
}
