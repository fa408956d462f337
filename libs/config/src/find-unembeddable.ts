import type { Config } from './config.ts';
import { namedTargets } from './named-targets.ts';

/**
 * Says why a route or a model cannot answer with vectors: Anthropic has no such call, so nothing of it may be a route's
 * target or fallback. Null when all can, and for what is not configured.
 */
export function createFindUnembeddable({
  providers,
  routes,
}: Pick<Config, 'providers' | 'routes'>): (reference: {
  route: string | undefined;
  model: string | undefined;
}) => string | null {
  return ({ route, model }) => {
    for (const target of namedTargets(routes, { route, model })) {
      const provider = providers.get(target.slice(0, target.indexOf('/')));
      if (provider?.kind !== 'anthropic') continue;
      const whose = model === undefined ? ` (target ${target} of the route)` : '';
      return `the provider "${provider.name}"${whose} does not support embeddings`;
    }
    return null;
  };
}
