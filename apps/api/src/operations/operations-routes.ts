import type { Metrics } from '@millrace/telemetry';
import { Router } from 'express';
import type { RequestHandler } from 'express';
import type { Readiness } from './readiness.ts';
import type { Scaling } from './scaling.ts';

export interface OperationsOptions {
  metrics: Metrics;
  readGauges: () => Promise<void>;
  checkReadiness: () => Promise<Readiness>;
  measureScaling: () => Promise<Scaling>;
  /** Lets in keys with the scope `admin`. */
  admitAdmin: RequestHandler;
}

/** `/livez`, `/readyz` and `/metrics`, which anybody may ask who reaches the port, and `/internal/scaling`. */
export function operationsRoutes(options: OperationsOptions): Router {
  const router = Router();

  router.get('/livez', (_request, response) => {
    response.json({ status: 'ok' });
  });

  router.get('/readyz', async (_request, response) => {
    const readiness = await options.checkReadiness();
    if (readiness.status === 'unavailable') response.status(503).setHeader('Retry-After', 1);
    response.json(readiness);
  });

  router.get('/metrics', async (_request, response) => {
    await options.readGauges();
    const { registry } = options.metrics;
    response.type(registry.contentType).send(await registry.metrics());
  });

  router.get('/internal/scaling', options.admitAdmin, async (_request, response) => {
    response.json(await options.measureScaling());
  });

  return router;
}
