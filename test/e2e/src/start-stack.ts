import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';

/** A whole Millrace with processes of its own, in a temporary directory, on free ports. */
export interface TestStack extends LocalStack {
  /** The last lines that the processes logged. */
  logs(): string;
  /** Sends a signal to the process of this name (`api`, `scheduler`, `worker-1`, …); it is started again. */
  strike(name: string, signal: NodeJS.Signals): void;
  /** Stops and removes everything. */
  end(): Promise<void>;
}

/** Starts one with simulated providers; `environment` adds settings. */
export async function startTestStack(
  options: { workers?: number; environment?: Record<string, string> } = {},
): Promise<TestStack> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-e2e-'));
  const lines: string[] = [];
  const stack = await startLocalStack({
    dataDirectory: directory,
    port: 0,
    workers: options.workers ?? 1,
    environment: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.environment },
    onLog: ({ source, line }) => {
      lines.push(`${source} ${line}`);
      if (lines.length > 2_000) lines.splice(0, 1_000);
    },
  });
  return {
    ...stack,
    // These change while the stack runs.
    get apiUrl() {
      return stack.apiUrl;
    },
    get processes() {
      return stack.processes;
    },
    logs: () => lines.slice(-200).join('\n'),
    strike(name, signal) {
      const process = stack.processes.find((each) => each.name === name);
      if (!process) throw new Error(`no ${name} among ${stack.processes.map((each) => each.name).join(', ')}`);
      process.signal(signal);
    },
    async end() {
      await stack.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
