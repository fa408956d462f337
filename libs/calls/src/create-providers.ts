import type { Config, ProviderConfig } from '@millrace/config';
import { createProvider, findModelPrice, loadPriceCatalogue, modelFacts } from '@millrace/providers';
import type { ModelPriceInput, PriceCatalogue, Provider } from '@millrace/providers';
import { splitTarget } from './split-target.ts';

/** The providers that this process can call (those with a key), and what their models cost. */
export function createProviders(config: Config): {
  providers: ReadonlyMap<string, Provider>;
  catalogue: PriceCatalogue;
} {
  const configured = [...config.providers.values()];
  const catalogue = loadPriceCatalogue(undefined, configured.flatMap(toPrices));
  const providers = new Map<string, Provider>();
  for (const entry of configured) {
    if (entry.apiKey === null) continue;
    const { name, kind, apiKey } = entry;
    providers.set(
      name,
      createProvider({
        name,
        kind,
        apiKey,
        ...(entry.baseUrl === null ? {} : { baseUrl: entry.baseUrl }),
        maxConcurrentSockets: entry.maxConcurrentCalls,
        minSpacingMs: entry.minSpacingMs,
        tokenizerFactor: (model) =>
          modelFacts(catalogue, { kind, provider: name, model })?.tokenizerFactor ?? 1,
      }),
    );
  }
  return { providers, catalogue };
}

/** Whether a target is named by a route or has a price: the targets that a deployment knows of. */
export function isListed(
  config: Config,
  providers: ReadonlyMap<string, Provider>,
  catalogue: PriceCatalogue,
  target: string,
): boolean {
  for (const { targets, fallback, degraded } of config.routes.values()) {
    if (targets.some((each) => each.target === target) || fallback.includes(target)) return true;
    if (degraded.kind === 'use' && degraded.target === target) return true;
  }
  const { provider: name, model } = splitTarget(target);
  const provider = providers.get(name);
  return (
    provider !== undefined &&
    findModelPrice(catalogue, { kind: provider.kind, provider: name, model }) !== null
  );
}

const UNKNOWN_CONTEXT_WINDOW = 1_000_000;

function toPrices(provider: ProviderConfig): ModelPriceInput[] {
  return Object.entries(provider.prices).map(([model, price]) => ({
    kind: provider.kind,
    provider: provider.name,
    model,
    contextWindow: price.contextWindow ?? UNKNOWN_CONTEXT_WINDOW,
    maxOutput: 0,
    source: 'millrace.config.yaml',
    prices: [
      {
        from: '1970-01-01',
        input: price.inputUsd,
        output: price.outputUsd,
        ...(price.cachedInputUsd === null ? {} : { cachedInput: price.cachedInputUsd }),
      },
    ],
  }));
}
