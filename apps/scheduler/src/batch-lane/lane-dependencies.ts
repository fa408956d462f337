import type { OutcomePolicy, PrepareOptions } from '@millrace/calls';
import type { PoolConfig, RouteConfig } from '@millrace/config';
import type { Database } from '@millrace/ledger';
import type { OutputValidators } from '@millrace/plans';
import type { BatchPort } from '@millrace/providers';
import type { Logger, Metrics } from '@millrace/telemetry';
import type { LivePublisher, Producer } from '@millrace/transport';
import type { Leftovers } from './leftovers.ts';

/** What the batch lane is told from outside. Durations are in milliseconds. */
export interface LaneSettings {
  collectAgeMs: number;
  maxLines: number;
  /** From how many lines on a new shape is tried first. */
  pilotFrom: number;
  longestPollMs: number;
  /** How long a provider's list of batches may lag behind a creation. */
  listLagMs: number;
}

/** All that the batch lane needs. */
export interface LaneDependencies extends PrepareOptions {
  database: Database;
  producer: Producer;
  publisher: LivePublisher;
  /** The providers' batch APIs, by the provider's name. */
  ports: ReadonlyMap<string, BatchPort>;
  leftovers: Leftovers;
  validators: OutputValidators;
  routes: ReadonlyMap<string, RouteConfig>;
  pools: ReadonlyMap<string, PoolConfig>;
  policy: OutcomePolicy;
  poolOf: (target: string) => string;
  /** Who claims batches: this process. */
  holder: string;
  settings: LaneSettings;
  metrics: Metrics;
  log: Logger;
  onError: (error: unknown) => void;
  random: () => number;
}
