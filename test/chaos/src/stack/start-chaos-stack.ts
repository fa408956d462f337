import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';
import { createKey } from './create-key.ts';
import { createFaultLog } from './fault-log.ts';
import type { FaultLog } from './fault-log.ts';
import { createOrders } from './orders.ts';
import type { Orders } from './orders.ts';
import { startProvider } from './start-provider.ts';
import { startClient } from './start-client.ts';
import type { Client } from './start-client.ts';
import { startSink } from './start-sink.ts';
import type { Sink } from './start-sink.ts';

/** A whole Millrace with armed faults, and the witnesses around it. */
export interface ChaosStack extends LocalStack {
  readonly directory: string;
  /** Of the provider simulator, which is no process of the stack. */
  readonly providerUrl: string;
  /** The key of a tenant that owns nothing. */
  readonly strangersKey: string;
  readonly orders: Orders;
  readonly faultLog: FaultLog;
  readonly client: Client;
  readonly sink: Sink;
  /** Where each journal is. */
  readonly journals: { client: string; sink: string; provider: string };
  /** Every line that the processes logged, each with its process's name in front. */
  logs(): readonly string[];
  /** Those that were written since this instant (milliseconds since 1970). */
  logsSince(at: number): readonly string[];
  strike(name: string, signal: NodeJS.Signals): boolean;
  end(): Promise<void>;
}

export interface ChaosStackOptions {
  workers: number;
  environment?: Record<string, string>;
  /** A `millrace.config.yaml`, for a provider at this address. */
  configuration?: string | ((providerUrl: string) => string | Promise<string>);
  simulator?: Record<string, unknown>;
  /** Where its data is; default: a temporary directory, which is removed. */
  dataDirectory?: string;
  /** False: no webhook endpoint is made. */
  webhooks?: boolean;
}

/** A process that lived for so long is started again 250 ms after its death. */
export const HEALTHY_AFTER_MS = 4_000;

/** Starts one in a temporary directory, with simulated providers and a webhook endpoint that every ending is told to. */
export async function startChaosStack(options: ChaosStackOptions): Promise<ChaosStack> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-chaos-'));
  const chaosDirectory = join(directory, 'chaos');
  await mkdir(chaosDirectory);
  const provider = await startProvider(directory, {
    tokensPerSecond: 60,
    batches: { validateMs: 200, runMs: 1_500, finalizeMs: 200 },
    ...options.simulator,
  });
  const configPath = join(directory, 'millrace.config.yaml');
  const { configuration = '{}' } = options;
  await writeFile(
    configPath,
    typeof configuration === 'string' ? configuration : await configuration(provider.url),
  );
  const lines: { at: number; text: string }[] = [];
  const journals = { client: join(directory, 'client.jsonl'), sink: join(directory, 'sink.jsonl') };
  const sink = await startSink(journals.sink);
  const stack = await startLocalStack({
    dataDirectory: options.dataDirectory ?? join(directory, 'stack'),
    port: 0,
    workers: options.workers,
    // Else what is measured would be the supervisor's growing patience, which many deaths in a row call for.
    healthyAfterMs: HEALTHY_AFTER_MS,
    environment: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_OPTIONS: '--conditions=millrace-chaos',
      CHAOS_DIRECTORY: chaosDirectory,
      MILLRACE_CONFIG: configPath,
      MILLRACE_ALLOW_PRIVATE_WEBHOOKS: '127.0.0.1',
      OPENAI_BASE_URL: `${provider.url}/openai/v1`,
      ANTHROPIC_BASE_URL: `${provider.url}/anthropic`,
      OPENAI_API_KEY: 'sk-chaos-openai',
      ANTHROPIC_API_KEY: 'sk-chaos-anthropic',
      MILLRACE_BATCH_COLLECT_AGE: '1s',
      MILLRACE_BATCH_POLL_INTERVAL: '1s',
      MILLRACE_BATCH_LIST_LAG: '5s',
      ...options.environment,
    },
    onLog: ({ source, line }) => {
      lines.push({ at: writtenAt(line), text: `${source} ${line}` });
    },
  });
  const strangersKey = await createKey(stack.databaseUrl, ['--tenant', 'stranger', '--scopes', 'jobs']);
  const client = await startClient({
    journal: journals.client,
    apiUrl: stack.apiUrl,
    apiKey: stack.bootstrapKey,
    otherKey: strangersKey,
  });
  if (options.webhooks !== false) await sink.register(stack, '/ok');
  return {
    ...stack,
    directory,
    providerUrl: provider.url,
    strangersKey,
    orders: createOrders(chaosDirectory),
    faultLog: createFaultLog(join(directory, 'faults.jsonl')),
    client,
    sink,
    journals: { ...journals, provider: provider.journal },
    logs: () => lines.map(({ text }) => text),
    logsSince: (at) => lines.flatMap((line) => (line.at >= at ? [line.text] : [])),
    strike: (name, signal) => {
      const found = stack.processes.find((each) => each.name === name);
      if (!found) throw new Error(`there is no process ${name}`);
      return found.signal(signal);
    },
    async end() {
      client.stop();
      await stack.stop();
      await provider.stop();
      sink.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** By the line itself: processes gather their lines, and one that arrives now may tell of the run before. */
function writtenAt(line: string): number {
  const at = Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '');
  return Number.isNaN(at) ? Date.now() : at;
}
