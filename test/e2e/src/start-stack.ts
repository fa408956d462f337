import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack } from '@millrace/infra';
import type { LocalStack, LocalStackRequest } from '@millrace/infra';
import { spawnApp } from '@millrace/test-support';
import type { SpawnedApp } from '@millrace/test-support';

/** A whole Millrace with processes of its own, in a temporary directory, on free ports. */
export interface TestStack extends LocalStack {
  /** The last lines that the processes logged. */
  logs(): string;
  /** Every line that the processes logged, each with its process's name in front. */
  everyLine(): readonly string[];
  /** Sends a signal to the process of this name (`api`, `scheduler`, `worker-1`, …); it is started again. */
  strike(name: string, signal: NodeJS.Signals): void;
  /** One more process on the same servers, which nobody starts again; it is ended with the stack. */
  spawn(app: 'api' | 'worker' | 'scheduler', environment?: Record<string, string>): Promise<SpawnedApp>;
  /** Stops and removes everything. */
  end(): Promise<void>;
}

/** Starts one with simulated providers; `environment` adds settings, `configuration` is a `millrace.config.yaml`. */
export async function startTestStack(
  options: {
    workers?: LocalStackRequest['workers'];
    environment?: Record<string, string>;
    configuration?: string;
  } = {},
): Promise<TestStack> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-e2e-'));
  const environment = { ...options.environment };
  if (options.configuration !== undefined) {
    environment.MILLRACE_CONFIG = join(directory, 'millrace.config.yaml');
    await writeFile(environment.MILLRACE_CONFIG, options.configuration);
  }
  const lines: string[] = [];
  const spawned: SpawnedApp[] = [];
  const stack = await startLocalStack({
    dataDirectory: directory,
    port: 0,
    workers: options.workers ?? 1,
    environment: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    onLog: ({ source, line }) => {
      lines.push(`${source} ${line}`);
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
    everyLine: () => [...lines, ...spawned.flatMap((app) => app.logs().map((line) => `spawned ${line}`))],
    strike(name, signal) {
      const process = stack.processes.find((each) => each.name === name);
      if (!process)
        throw new Error(`no ${name} among ${stack.processes.map((each) => each.name).join(', ')}`);
      process.signal(signal);
    },
    async spawn(app, more = {}) {
      const one = await spawnApp({
        app,
        environment: {
          ...environment,
          DATABASE_URL: stack.databaseUrl,
          REDIS_URL: stack.redisUrl,
          OPENAI_BASE_URL: `${stack.simulatorUrl}/openai/v1`,
          ANTHROPIC_BASE_URL: `${stack.simulatorUrl}/anthropic`,
          OPENAI_API_KEY: 'simulator-needs-no-key',
          ANTHROPIC_API_KEY: 'simulator-needs-no-key',
          ...(app === 'api' ? { MILLRACE_PORT: '0' } : { MILLRACE_OPERATIONS_PORT: '0' }),
          ...more,
        },
      });
      spawned.push(one);
      return one;
    },
    async end() {
      for (const app of spawned) if (app.process.isRunning()) await app.kill('SIGKILL');
      await stack.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Where a spawned process listens, as its log says. */
export async function listeningUrl(app: SpawnedApp): Promise<string> {
  const line = await app.waitForLine((each) => each.includes('"listening"'), 20_000);
  return (JSON.parse(line) as { url: string }).url;
}
