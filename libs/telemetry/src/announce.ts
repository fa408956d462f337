import type { Logger } from './logger.ts';

/**
 * Logs a line that whoever started the process waits for (where it listens), whatever the log level is: a quiet process
 * must still be found.
 */
export function announce(log: Logger, fields: Record<string, unknown>, message: string): void {
  log.child({}, { level: 'info' }).info(fields, message);
}
