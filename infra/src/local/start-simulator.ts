import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { announcedUrl } from './announced-url.ts';
import type { RunningApp } from './start-apps.ts';
import type { StackLogLine } from './stack-log-line.ts';
import type { Stoppable } from './stop-in-order.ts';
import { superviseProcess } from './supervise-process.ts';
import { repositoryRoot } from './entries.ts';

const startTimeoutMs = 30_000;
const stopGraceMs = 5_000;

/**
 * Starts the provider simulator on a free port, which it keeps when it is started again. `environment` is what makes
 * the apps use it; the keys in it are good for nothing else.
 */
export async function startSimulator(request: {
  entry: string;
  dataDirectory: string;
  environment: NodeJS.ProcessEnv;
  signal: AbortSignal;
  onLog: (line: StackLogLine) => void;
  notice: (line: string) => void;
  started: Stoppable[];
}): Promise<{
  url: string;
  journalPath: string;
  process: RunningApp;
  environment: Record<string, string>;
}> {
  const directory = join(request.dataDirectory, 'simulator');
  mkdirSync(directory, { recursive: true });
  const journalPath = join(directory, 'journal.jsonl');
  let port = '0';
  const announcement = announcedUrl('the simulator', startTimeoutMs, request.signal);
  const simulator = await superviseProcess({
    name: 'simulator',
    entry: request.entry,
    workingDirectory: repositoryRoot,
    environment: () => ({ ...request.environment, SIMULATOR_PORT: port, SIMULATOR_JOURNAL: journalPath }),
    onLine: (line) => {
      announcement.take(line);
      request.onLog({ source: 'simulator', line });
    },
    onNotice: request.notice,
    onGiveUp: announcement.giveUp,
  });
  request.started.push({ stop: () => simulator.stop(stopGraceMs) });

  const url = await announcement.url;
  simulator.markReady();
  ({ port } = new URL(url));
  return {
    url,
    journalPath,
    process: Object.assign(simulator, { url }),
    environment: {
      OPENAI_BASE_URL: `${url}/openai/v1`,
      ANTHROPIC_BASE_URL: `${url}/anthropic`,
      OPENAI_API_KEY: 'simulator-needs-no-key',
      ANTHROPIC_API_KEY: 'simulator-needs-no-key',
    },
  };
}
