import { splitTarget } from '@millrace/calls';
import { createFitsBatch } from '@millrace/capacity';
import type { FitsBatch } from '@millrace/capacity';
import type { Config } from '@millrace/config';
import { createKnownDurations } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import { quoteLanes } from '@millrace/providers';
import type { PriceCatalogue } from '@millrace/providers';

/** Whether lines will ride in a provider's batch, by the configuration, the prices, and what the ledger has seen of past batches. */
export function openFitsBatch(
  config: Pick<Config, 'routes' | 'providers' | 'setting'>,
  options: { database: Queryable; catalogue: PriceCatalogue; onError: (error: unknown) => void },
): FitsBatch {
  const { MILLRACE_BATCH_COLLECT_AGE: collectAgeMs, MILLRACE_BATCH_ESCAPE_MARGIN: marginMs } = config.setting;
  const durations = createKnownDurations(options.database, Date.now);
  const fits = createFitsBatch({
    routes: config.routes,
    hasBatches: (target) => {
      const kind = config.providers.get(splitTarget(target).provider)?.kind;
      return kind !== undefined && kind !== 'openai_compatible';
    },
    saves: (target) => {
      const { provider, model } = splitTarget(target);
      const kind = config.providers.get(provider)?.kind;
      if (kind === undefined) return false;
      const size = { inputTokens: 1_000_000, outputTokens: 1_000_000, at: new Date() };
      const quote = quoteLanes(options.catalogue, { kind, provider, model, ...size });
      return quote !== null && quote.batch !== null && quote.batch < quote.realtime;
    },
    takesMs: (target) => durations.expectedMs(target) + 2 * collectAgeMs,
    marginMs: (target) => durations.marginMs(target, marginMs),
  });
  return (call, job) => {
    // What is asked for now is known the next time; until then batches are believed to take most of a day.
    durations.refresh().catch(options.onError);
    return fits(call, job);
  };
}
