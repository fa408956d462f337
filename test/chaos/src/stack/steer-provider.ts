import { setTimeout as pause } from 'node:timers/promises';
import type { ProviderCall } from '../observer/journals.ts';
import { readProviderCalls } from '../observer/provider-journal.ts';

/** The provider simulator as campaigns steer and watch it. */
export function steerProvider(stack: { providerUrl: string; journals: { provider: string } }) {
  const order = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${stack.providerUrl}/_simulator${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  return {
    /** Orders a fault (see test/simulator/README.md); its id. */
    fault: async (rule: Record<string, unknown>): Promise<string> =>
      ((await order('POST', '/faults', rule)) as { id: string }).id,
    removeFault: (id: string) => order('DELETE', `/faults/${id}`),
    clearFaults: () => order('DELETE', '/faults'),
    /** Resolves with the first call in the journal that matches; null after `timeoutMs`. */
    async arrived(matches: (call: ProviderCall) => boolean, timeoutMs: number): Promise<ProviderCall | null> {
      const deadlineAt = performance.now() + timeoutMs;
      for (;;) {
        const found = readProviderCalls(stack.journals.provider).find(matches);
        if (found) return found;
        if (performance.now() >= deadlineAt) return null;
        await pause(50);
      }
    },
  };
}
