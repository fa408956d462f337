import type { Config } from '@millrace/config';
import { findModelPrice } from '@millrace/providers';
import type { PriceCatalogue } from '@millrace/providers';

/** What a call goes to: a configured route, or a target `provider/model`. */
export type ModelReference = { route: string } | { model: string };

/** The call's target that a line's `model` stands for; null when nothing configured has this name. */
export type ResolveModel = (name: string) => ModelReference | null;

/**
 * A route's name, a target, or the bare name of a model: then the first configured provider that names it in a route or has
 * a price for it.
 */
export function createResolveModel(
  config: Pick<Config, 'routes' | 'providers'>,
  catalogue: PriceCatalogue,
): ResolveModel {
  const targets = [...config.routes.values()].flatMap((route) => [
    ...route.targets.map((each) => each.target),
    ...route.fallback,
  ]);
  return (name) => {
    if (config.routes.has(name)) return { route: name };
    // What the schema of plans takes as a model.
    if (!/^[\x21-\x7e]{1,160}$/.test(name)) return null;
    const slash = name.indexOf('/');
    if (slash > 0 && config.providers.has(name.slice(0, slash)) && slash < name.length - 1) {
      return { model: name };
    }
    for (const provider of config.providers.values()) {
      const target = `${provider.name}/${name}`;
      const priced = { kind: provider.kind, provider: provider.name, model: name };
      if (targets.includes(target) || findModelPrice(catalogue, priced)) return { model: target };
    }
    return null;
  };
}
