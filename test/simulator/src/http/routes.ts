import type { Vendor } from '../model-catalogue.ts';
import type { Exchange } from './exchange.ts';

/** A path of one dialect (`/responses/{id}`) and what serves it. */
export interface Route {
  readonly dialect: Vendor;
  readonly method: string;
  readonly path: string;
  readonly serve: (exchange: Exchange) => Promise<void>;
}

export interface RouteMatch {
  readonly route: Route;
  readonly parameters: readonly string[];
}

export interface RouteTable {
  find(dialect: Vendor, method: string, path: string): RouteMatch | null;
}

export function createRouteTable(routes: readonly Route[]): RouteTable {
  const exact = new Map<string, Route>();
  const patterns: { route: Route; pattern: RegExp }[] = [];
  for (const route of routes) {
    if (route.path.includes('{')) {
      patterns.push({ route, pattern: new RegExp(`^${route.path.replaceAll(/\{\w+\}/g, '([^/]+)')}$`) });
    } else exact.set(`${route.dialect} ${route.method} ${route.path}`, route);
  }
  return {
    find(dialect, method, path) {
      const known = exact.get(`${dialect} ${method} ${path}`);
      if (known !== undefined) return { route: known, parameters: [] };
      for (const { route, pattern } of patterns) {
        if (route.dialect !== dialect || route.method !== method) continue;
        const found = pattern.exec(path);
        if (found !== null) return { route, parameters: found.slice(1) };
      }
      return null;
    },
  };
}

/** Which dialect a path belongs to, what stands before its version, and what behind it. */
export function dialectOf(path: string): { dialect: Vendor; prefix: string; rest: string } | null {
  const found = /^(\/openai|\/anthropic)?\/v1(\/.*)$/.exec(path);
  if (found === null) return null;
  const [, prefix = '', rest = ''] = found;
  const atRoot = /^\/messages(?:\/|$)/.test(rest) ? 'anthropic' : 'openai';
  const dialect: Vendor = prefix === '/anthropic' ? 'anthropic' : prefix === '/openai' ? 'openai' : atRoot;
  return { dialect, prefix, rest: rest.length > 1 ? rest.replace(/\/$/, '') : rest };
}
