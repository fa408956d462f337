import { createFitsBatch } from '@millrace/capacity';
import type { FitsBatch } from '@millrace/capacity';
import type { Config } from '@millrace/config';
import type { KnownDurations } from '@millrace/ledger';

/** Whether calls will ride in a provider's batch, by the configuration, and what the ledger has seen of past batches. */
export function openFitsBatch(
  { providers, routes, setting }: Pick<Config, 'routes' | 'providers' | 'setting'>,
  options: {
    durations: KnownDurations;
    /** Providers that have a batch API. */
    batching: ReadonlySet<string>;
    onError: (error: unknown) => void;
  },
): FitsBatch {
  const { durations, batching, onError } = options;
  const fits = createFitsBatch({
    routes,
    hasBatches: (target) => batching.has(split(target).provider),
    saves: (target) => {
      const { provider, model } = split(target);
      // The vendors' batches cost half; a model that the deployment gave a price has none there. A model without any price would
      // be called in realtime after all: the API knows no prices, and lets it in.
      return !Object.hasOwn(providers.get(provider)?.prices ?? {}, model);
    },
    takesMs: (target) => durations.expectedMs(target) + 2 * setting.MILLRACE_BATCH_COLLECT_AGE,
    marginMs: (target) => durations.marginMs(target, setting.MILLRACE_BATCH_ESCAPE_MARGIN),
  });
  return (call, job) => {
    // What is asked for now is known the next time; until then batches are believed to take most of a day.
    durations.refresh().catch(onError);
    return fits(call, job);
  };
}

function split(target: string): { provider: string; model: string } {
  const slash = target.indexOf('/');
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}
