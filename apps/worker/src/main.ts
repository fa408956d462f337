import { loadConfigOrExit } from '@millrace/config';
import { createLogger, createMetrics, runServices } from '@millrace/telemetry';
import { createWorker } from './worker.ts';

const config = loadConfigOrExit();
const log = createLogger({ app: 'worker', level: config.setting.MILLRACE_LOG_LEVEL });
const metrics = createMetrics('worker');
await runServices(createWorker(config, log, metrics), {
  graceMs: config.setting.MILLRACE_SHUTDOWN_GRACE,
  log,
});
