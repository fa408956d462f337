import { flushCompileCache } from 'node:module';
import type { Service } from '@millrace/contracts';
import type { Logger } from './logger.ts';

/**
 * Starts services in order and stops them backwards on SIGTERM or SIGINT, each within what is left of `graceMs`; then the
 * process ends with code 0, or 1 when a start or a stop failed or took too long. A second signal ends it at once. What Node has
 * compiled is kept once all have started, if NODE_COMPILE_CACHE says where.
 */
export async function runServices(
  services: readonly Service[],
  options: { graceMs: number; log: Logger },
): Promise<void> {
  const { log } = options;
  const started: Service[] = [];
  let stopping = false;

  const stopAll = async (): Promise<boolean> => {
    let clean = true;
    for (const service of started.reverse()) {
      try {
        await service.stop();
      } catch (err) {
        clean = false;
        log.error({ service: service.name, err }, 'service did not stop cleanly');
      }
    }
    return clean;
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(130);
    stopping = true;
    log.info({ signal }, 'stopping');
    const timer = setTimeout(() => {
      log.error('did not stop within the grace time');
      process.exit(1);
    }, options.graceMs + 5_000);
    void stopAll().then((clean) => {
      clearTimeout(timer);
      log.info('stopped');
      process.exit(clean ? 0 : 1);
    });
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (err: unknown) => {
      log.fatal({ err }, event === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception');
      process.exit(1);
    });
  }

  for (const service of services) {
    try {
      await service.start();
      started.push(service);
    } catch (err) {
      log.fatal({ service: service.name, err }, 'service did not start');
      await stopAll();
      process.exit(1);
    }
  }
  // With NODE_COMPILE_CACHE, Node writes what it has compiled when it ends: after a SIGKILL the next start would have nothing.
  flushCompileCache();
}
