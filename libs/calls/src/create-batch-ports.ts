import type { Config } from '@millrace/config';
import { createBatchPort, modelFacts } from '@millrace/providers';
import type { BatchPort, PriceCatalogue } from '@millrace/providers';

/** The batch APIs of the providers that can be called here (those with a key) and have one. */
export function createBatchPorts(config: Config, catalogue: PriceCatalogue): ReadonlyMap<string, BatchPort> {
  const ports = new Map<string, BatchPort>();
  for (const { name, kind, apiKey, baseUrl, maxConcurrentCalls } of config.providers.values()) {
    if (apiKey === null) continue;
    const port = createBatchPort({
      name,
      kind,
      apiKey,
      ...(baseUrl === null ? {} : { baseUrl }),
      maxConcurrentSockets: maxConcurrentCalls,
      tokenizerFactor: (model) =>
        modelFacts(catalogue, { kind, provider: name, model })?.tokenizerFactor ?? 1,
    });
    if (port) ports.set(name, port);
  }
  return ports;
}
