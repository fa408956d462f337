import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';

/** Runs `measure` on a whole Millrace in a temporary directory, with a simulated provider of the given pace. */
export async function withStack<Result>(
  options: {
    workers?: number;
    simulator?: Record<string, unknown>;
    environment?: Record<string, string>;
    /** A `millrace.config.yaml`. */
    configuration?: string;
  },
  measure: (stack: LocalStack) => Promise<Result>,
): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-bench-'));
  const configuration = join(directory, 'millrace.config.yaml');
  if (options.configuration !== undefined) await writeFile(configuration, options.configuration);
  const stack = await startLocalStack({
    dataDirectory: directory,
    port: 0,
    workers: options.workers ?? 1,
    environment: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      // So that `--cpu-prof` reaches the apps.
      ...(process.env.NODE_OPTIONS === undefined ? {} : { NODE_OPTIONS: process.env.NODE_OPTIONS }),
      MILLRACE_LOG_LEVEL: 'warn',
      SIMULATOR_CONFIG: JSON.stringify(options.simulator ?? {}),
      ...(options.configuration === undefined ? {} : { MILLRACE_CONFIG: configuration }),
      ...options.environment,
    },
    onLog: ({ source, line }) => {
      if (/"level":"(error|fatal)"/.test(line)) console.error(source, line);
    },
  });
  try {
    return await measure(stack);
  } finally {
    await stack.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Headers of a client with all scopes. */
export function headersOf(stack: LocalStack): Record<string, string> {
  return { authorization: `Bearer ${stack.bootstrapKey}`, 'content-type': 'application/json' };
}

/** The value below which a share of the sorted numbers lies. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
