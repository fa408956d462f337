import { loadConfigOrExit } from '@millrace/config';
import { createLogger, createMetrics, runServices } from '@millrace/telemetry';
import { createScheduler } from './scheduler.ts';

const config = loadConfigOrExit();
const log = createLogger({ app: 'scheduler', level: config.setting.MILLRACE_LOG_LEVEL });
const metrics = createMetrics('scheduler');
await runServices(createScheduler(config, log, metrics), {
  graceMs: config.setting.MILLRACE_SHUTDOWN_GRACE,
  log,
});
