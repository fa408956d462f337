export { announce } from './announce.ts';
export { createLogger } from './logger.ts';
export type { Logger, LoggerOptions } from './logger.ts';
export { loggableFields } from './loggable-fields.ts';
export { createMetrics } from './metrics.ts';
export type { Metrics } from './metrics.ts';
export { createOperationsServer } from './operations-server.ts';
export type { OperationsServerOptions } from './operations-server.ts';
export { runServices } from './run-services.ts';
