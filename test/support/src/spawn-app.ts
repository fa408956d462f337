import { existsSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { orLate } from '@millrace/contracts';
import { readLines, spawnGuarded, type GuardedProcess, type ProcessExit } from '@millrace/infra';

/** A process of Millrace under test. */
export interface SpawnedApp {
  process: GuardedProcess;
  /**
   * The first line (standard output or standard error, past lines included) that matches. Rejects with the log
   * when the process ends first, or after `timeoutMs` (15,000).
   */
  waitForLine(pattern: RegExp | ((line: string) => boolean), timeoutMs?: number): Promise<string>;
  /** Every line so far. */
  logs(): string[];
  /** Sends the signal (SIGTERM) and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<ProcessExit>;
  exited: Promise<ProcessExit>;
  /** For teardown: ends what is left; rejects if the process had not ended by itself within `graceMs` of SIGTERM. */
  stop(graceMs?: number): Promise<void>;
}

const repository = resolve(import.meta.dirname, '../../..');
const ownVariables = ['PATH', 'HOME', 'TMPDIR', 'NODE_V8_COVERAGE'];

/**
 * Starts one of the apps (`api`, `worker`, `scheduler`, `simulator`) or any `.ts` entry as its own process, with
 * exactly the environment given (and PATH, HOME, TMPDIR). It ends with the test process, however that ends.
 */
export async function spawnApp(request: {
  app: string;
  environment: Record<string, string>;
  arguments?: readonly string[];
}): Promise<SpawnedApp> {
  const entry = entryOf(request.app);
  const inherited = Object.fromEntries(ownVariables.map((name) => [name, process.env[name]]));
  const child = await spawnGuarded({
    command: process.execPath,
    arguments: [entry, ...(request.arguments ?? [])],
    environment: { ...inherited, ...request.environment },
    workingDirectory: repository,
    orphanSignal: 'KILL',
    orphanGraceMs: 0,
  });
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const take = (line: string): void => {
    lines.push(line);
    for (const listener of [...listeners]) listener(line);
  };
  readLines(child.stdout, take);
  readLines(child.stderr, take);
  const describe = (): string =>
    `${request.app} (process ${child.pid}) said:\n${lines.slice(-40).join('\n')}`;

  const waitForLine: SpawnedApp['waitForLine'] = async (pattern, timeoutMs = 15_000) => {
    const matches = (line: string): boolean =>
      typeof pattern === 'function' ? pattern(line) : new RegExp(pattern.source, pattern.flags).test(line);
    const past = lines.find(matches);
    if (past !== undefined) return past;
    const found = Promise.withResolvers<string>();
    const listener = (line: string): void => {
      if (matches(line)) found.resolve(line);
    };
    listeners.add(listener);
    void child.exited.then(({ code, signal }) =>
      found.reject(new Error(`ended (${signal ?? code}) before ${String(pattern)}; ${describe()}`)),
    );
    try {
      return await orLate(found.promise, timeoutMs, (): never => {
        throw new Error(`waited ${timeoutMs} ms for ${String(pattern)}; ${describe()}`);
      });
    } finally {
      listeners.delete(listener);
    }
  };

  return {
    process: child,
    waitForLine,
    logs: () => [...lines],
    kill: async (signal = 'SIGTERM') => {
      child.signal(signal);
      return child.exited;
    },
    exited: child.exited,
    stop: async (graceMs = 10_000) => {
      if (!child.isRunning()) return;
      const startedAt = performance.now();
      const { signal } = await child.stop({ signal: 'SIGTERM', graceMs });
      if (signal !== 'SIGKILL') return;
      const waitedMs = Math.round(performance.now() - startedAt);
      throw new Error(`did not end within ${waitedMs} ms of SIGTERM; ${describe()}`);
    },
  };
}

function entryOf(app: string): string {
  if (isAbsolute(app)) return app;
  const candidates = [`apps/${app}/src/main.ts`, `test/${app}/src/main.ts`, app].map((path) =>
    join(repository, path),
  );
  const entry = candidates.find((path) => path.endsWith('.ts') && existsSync(path));
  if (entry === undefined) throw new Error(`there is no app ${app}; looked for ${candidates.join(', ')}`);
  return entry;
}
