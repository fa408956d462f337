import type { Config } from './config.ts';
import { namedTargets } from './named-targets.ts';

/**
 * Says why a route or a model takes no `temperature` and `top_p` but 1: Anthropic's API refuses them since its version
 * 2026-10-21 (platform.claude.com, "API versions"). Null when a target or fallback is of another vendor, and for what is not configured.
 */
export function createFindUnsampled({
  providers,
  routes,
}: Pick<Config, 'providers' | 'routes'>): (reference: {
  route: string | undefined;
  model: string | undefined;
}) => string | null {
  return ({ route, model }) => {
    const kinds = namedTargets(routes, { route, model }).map(
      (target) => providers.get(target.slice(0, target.indexOf('/')))?.kind,
    );
    if (kinds.length === 0 || kinds.some((kind) => kind !== 'anthropic')) return null;
    const who = model === undefined ? 'every target of the route' : 'the model';
    return `only 1 can be asked for: ${who} is Anthropic's, whose API takes no sampling parameters`;
  };
}
