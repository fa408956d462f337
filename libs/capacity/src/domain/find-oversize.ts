import { misfitOf } from './domain-limits.ts';
import type { DomainLimits } from './domain-limits.ts';

/** A call as far as the intake knows it: what data will add to its prompt, nobody knows yet. */
export interface CallOutline {
  route: string | undefined;
  model: string | undefined;
  /** Characters that its prompt has at least. */
  characters: number;
  /** Null when the call names none. */
  maxOutputTokens: number | null;
}

const CHARACTERS_PER_TOKEN = 4;

/** What the deployment has configured: targets are `provider/model`. */
export interface CallSizes {
  pools: ReadonlyMap<string, { limits: DomainLimits }>;
  routes: ReadonlyMap<string, { targets: readonly { target: string }[]; fallback: readonly string[] }>;
  limits: { defaultMaxOutputTokens: number };
}

/**
 * Says why a call can never leave, because it alone is larger than a whole minute of the limits of all its targets; null
 * when one of them can take it.
 */
export function createFindOversize(
  config: CallSizes,
  poolOf: (target: string) => string,
): (call: CallOutline) => string | null {
  return ({ route, model, characters, maxOutputTokens }) => {
    const size = {
      inputTokens: Math.floor(characters / CHARACTERS_PER_TOKEN),
      inputCharacters: characters,
      maxOutputTokens: maxOutputTokens ?? config.limits.defaultMaxOutputTokens,
      // Where output is counted as it is produced, nobody knows yet how much it will be.
      expectedOutputTokens: 0,
    };
    let reason: string | null = null;
    for (const target of targetsOf(config, route, model)) {
      const pool = poolOf(target);
      const misfit = misfitOf(size, config.pools.get(pool)?.limits ?? {});
      if (!misfit) return null;
      const { dimension, limit, requested } = misfit;
      reason = `needs ${requested} ${dimension} at once, and the pool "${pool}" may take ${limit} per minute`;
    }
    return reason;
  };
}

function targetsOf(
  { routes }: CallSizes,
  route: string | undefined,
  model: string | undefined,
): readonly string[] {
  if (model !== undefined) return [model];
  const configured = route === undefined ? undefined : routes.get(route);
  return configured ? [...configured.targets.map(({ target }) => target), ...configured.fallback] : [];
}
