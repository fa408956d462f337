import { pino } from 'pino';
import type { DestinationStream, Logger } from 'pino';
import { createGatheredOutput } from './gathered-output.ts';
import { loggableFields } from './loggable-fields.ts';

export type { Logger } from 'pino';

export interface LoggerOptions {
  app: string;
  level: string;
  /** Where lines go; standard output by default. */
  destination?: DestinationStream;
}

/**
 * The logger of a process: JSON lines, one wide event per unit of work. Only fields of the allow-list get through, so a
 * prompt, a completion or a key cannot reach the log by being in an object that somebody passed along; what was held back
 * is named in `withheld`.
 */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: { app: options.app, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: keepLoggable },
      serializers: { err: describeError },
    },
    options.destination ?? createGatheredOutput(1),
  );
}

function keepLoggable(fields: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  const withheld: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (!loggableFields.has(name)) withheld.push(name);
    else if (value !== undefined) kept[name] = value;
  }
  return withheld.length === 0 ? kept : { ...kept, withheld };
}

/** An error as type, message, code and stack, with its causes; properties that libraries hang on it stay out. */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error };
  return {
    type: error.name,
    message: error.message.slice(0, 2_000),
    ...('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
      ? { code: error.code }
      : {}),
    stack: error.stack?.slice(0, 4_000),
    ...(error.cause === undefined ? {} : { cause: describeError(error.cause) }),
  };
}
