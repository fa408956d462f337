import { loadConfigOrExit } from '@millrace/config';
import { createLogger, createMetrics, runServices } from '@millrace/telemetry';
import { createApi } from './api.ts';

const config = loadConfigOrExit();
const log = createLogger({ app: 'api', level: config.setting.MILLRACE_LOG_LEVEL });
const metrics = createMetrics('api');
await runServices(createApi(config, log, metrics), { graceMs: config.setting.MILLRACE_SHUTDOWN_GRACE, log });
