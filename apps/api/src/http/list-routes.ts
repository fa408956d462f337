import type { Express } from 'express';

/** A method and a path pattern that the app answers, such as `get` `/v1/jobs/:id`. */
export interface ListedRoute {
  method: string;
  path: string;
}

interface Layer {
  route?: { path: unknown; methods: Record<string, boolean> };
  handle?: { stack?: Layer[] };
}

/** Every route of an app, those of its routers included (they are mounted without a prefix). */
export function listRoutes(app: Express): ListedRoute[] {
  const walk = (layers: readonly Layer[]): ListedRoute[] =>
    layers.flatMap((layer) => {
      if (layer.route) {
        const { path, methods } = layer.route;
        return typeof path === 'string' ? Object.keys(methods).map((method) => ({ method, path })) : [];
      }
      return walk(layer.handle?.stack ?? []);
    });
  return walk((app.router as unknown as { stack: Layer[] }).stack);
}
