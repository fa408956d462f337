import { resolve } from 'node:path';
import type { WorkerRange } from './scale-workers.ts';
import { readSettings, type Environment, type SettingName, type SettingValue } from '@millrace/config';

/** What the local stack itself needs of the environment. */
export interface LocalSettings {
  dataDirectory: string;
  host: string;
  /** 0: any that is free. */
  port: number;
  /** Number of worker processes. */
  workers: WorkerRange;
  logFormat: 'pretty' | 'json';
  /** How long a worker that is not needed any more may go on: as long as a call may take. */
  drainMs: number;
  /** How long an app is given to stop: its own grace, and some time to end after it. */
  stopGraceMs: number;
}

const timeToEndMs = 5_000;

/**
 * Reads the settings. Throws one error that lists everything that is wrong in the environment, also in what only the
 * apps read, so that nothing is started for nothing.
 */
export function readLocalSettings(environment: Environment): LocalSettings {
  const { values, problems } = readSettings(environment);
  if (problems.length > 0) throw new Error(['bad settings', ...problems].join('\n  '));
  const settings = values as { [Name in SettingName]: SettingValue<Name> };
  return {
    dataDirectory: resolve(settings.MILLRACE_DATA_DIR),
    host: settings.MILLRACE_HOST,
    port: settings.MILLRACE_PORT,
    workers: settings.MILLRACE_WORKERS,
    logFormat: settings.MILLRACE_LOG_FORMAT,
    drainMs: settings.MILLRACE_CALL_TIMEOUT,
    stopGraceMs: settings.MILLRACE_SHUTDOWN_GRACE + timeToEndMs,
  };
}
