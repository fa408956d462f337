import { loadConfigOrExit } from '@millrace/config';
import { createLogger, createMetrics, runServices } from '@millrace/telemetry';
import { createApi } from './api.ts';

const config = loadConfigOrExit();
const log = createLogger({ app: 'api', level: config.setting.MILLRACE_LOG_LEVEL });
const metrics = createMetrics('api');
const { services } = createApi(config, log, metrics);
await runServices(services, { graceMs: config.setting.MILLRACE_SHUTDOWN_GRACE, log });
