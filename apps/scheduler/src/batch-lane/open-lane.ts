import { createBatchPorts, createProviders } from '@millrace/calls';
import { poolOf } from '@millrace/config';
import type { Config } from '@millrace/config';
import type { Service } from '@millrace/contracts';
import type { Database } from '@millrace/ledger';
import { createOutputValidators } from '@millrace/plans';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { LivePublisher, Producer } from '@millrace/transport';
import { createBatchLane } from './batch-lane.ts';
import { createLeftovers } from './leftovers.ts';

const EVERY_MS = 1_000;

/** What the scheduler shares with the batch lane. */
export interface LaneRoom {
  config: Config;
  database: Database;
  producer: Producer;
  publisher: LivePublisher;
  /** Who claims batches: this process. */
  holder: string;
  when: () => boolean;
  metrics: Metrics;
  log: Logger;
  onError: (error: unknown) => void;
}

/** The batch lane of a configured scheduler, over the batch APIs of all providers that have a key here. */
export function openBatchLane(room: LaneRoom): Service[] {
  const { config, when, ...rest } = room;
  const { setting } = config;
  const { providers, catalogue } = createProviders(config);
  return createBatchLane(
    {
      ...rest,
      ports: createBatchPorts(config, catalogue),
      leftovers: createLeftovers({ now: Date.now, random: Math.random, onError: room.onError }),
      providers,
      catalogue,
      validators: createOutputValidators({ maxEntries: 500 }),
      defaultMaxOutputTokens: config.limits.defaultMaxOutputTokens,
      callTimeoutMs: setting.MILLRACE_CALL_TIMEOUT,
      routes: config.routes,
      pools: config.pools,
      policy: config.retry,
      poolOf: (target) => poolOf(config.pools, target),
      settings: {
        collectAgeMs: setting.MILLRACE_BATCH_COLLECT_AGE,
        maxLines: setting.MILLRACE_BATCH_MAX_LINES,
        pilotFrom: setting.MILLRACE_BATCH_PILOT_FROM,
        longestPollMs: setting.MILLRACE_BATCH_POLL_INTERVAL,
        listLagMs: setting.MILLRACE_BATCH_LIST_LAG,
      },
      now: Date.now,
      random: Math.random,
    },
    {
      when,
      everyMs: Math.min(EVERY_MS, setting.MILLRACE_BATCH_COLLECT_AGE),
      retentionMs: setting.MILLRACE_JOB_RETENTION,
    },
  );
}
