import { flushCompileCache } from 'node:module';
import type { Service } from '@millrace/contracts';
import type { Logger } from './logger.ts';

/**
 * Starts services in order and stops them backwards on SIGTERM or SIGINT, each within what is left of `graceMs`; then the
 * process ends with code 0, or 1 when a start or a stop failed or took too long. A second signal ends it at once. On SIGUSR2
 * (nobody needs this process any more, and nothing presses) what runs is drained before, with no limit in time but a SIGTERM.
 * What Node has compiled is kept once all have started, if NODE_COMPILE_CACHE says where.
 */
export async function runServices(
  services: readonly Service[],
  options: { graceMs: number; log: Logger },
): Promise<void> {
  const { log } = options;
  const started: Service[] = [];
  let [running, draining, stopping] = [false, false, false];

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
  const stopOnce = (): void => {
    if (stopping) return;
    stopping = true;
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
  let isAsked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isAsked) process.exit(130);
    isAsked = true;
    log.info({ signal }, 'stopping');
    stopOnce();
  };
  const drainAll = async (): Promise<void> => {
    const drained = await Promise.allSettled(services.map(async (service) => service.drain?.()));
    for (const outcome of drained) {
      if (outcome.status === 'rejected') log.error({ err: outcome.reason as unknown }, 'did not drain');
    }
  };
  const onDrain = (signal: NodeJS.Signals): void => {
    if (draining || stopping) return;
    draining = true;
    log.info({ signal }, 'draining');
    // Before everything runs there is nothing to wait for.
    void (running ? drainAll() : Promise.resolve()).then(stopOnce);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGUSR2', onDrain);
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
  running = true;
  // With NODE_COMPILE_CACHE, Node writes what it has compiled when it ends: after a SIGKILL the next start would have nothing.
  flushCompileCache();
}
