import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import type { ProviderKind } from '../provider.ts';
import { modelPriceSchema, priceFileSchema } from './price-schema.ts';
import type { ModelPrice, ModelPriceInput, PriceFile } from './price-schema.ts';

const SHIPPED = fileURLToPath(new URL('./catalogue.yaml', import.meta.url));

/** Prices and facts of models, looked up by kind and name. Read-only. */
export interface PriceCatalogue {
  readonly updatedAt: string;
  readonly byKey: ReadonlyMap<string, ModelPrice>;
  /** First day (UTC, ISO date) on which the vendor no longer serves a model. */
  readonly endsByKey: ReadonlyMap<string, string>;
}

/** What a limit or an estimate needs to know of a model. */
export interface ModelFacts {
  contextWindow: number;
  maxOutput: number;
  /** Tokens of this model per o200k token. */
  tokenizerFactor: number;
  /** First day (UTC, ISO date) on which the vendor no longer serves it; null when none is announced. */
  endsAt: string | null;
}

/** Which model of which account. */
export interface PricedModel {
  kind: ProviderKind;
  /** The account's name, for prices that hold for it alone. */
  provider?: string;
  model: string;
}

/**
 * Reads and checks a price file (the shipped one when no path is given) and adds `extra` entries, which win over the
 * file's. Throws an `Error` that names every wrong field.
 */
export function loadPriceCatalogue(
  path: string = SHIPPED,
  extra: readonly ModelPriceInput[] = [],
): PriceCatalogue {
  const file = check(priceFileSchema, parse(readFileSync(path, 'utf8'), { schema: 'core' }), path);
  const more = extra.map((entry, at) => check(modelPriceSchema, entry, `prices[${at}]`));
  return index(file, more);
}

/** The entry for a model, its dated names included; null when there is none. */
export function findModelPrice(catalogue: PriceCatalogue, model: PricedModel): ModelPrice | null {
  for (const name of namesOf(model.model)) {
    const own =
      model.provider === undefined ? undefined : catalogue.byKey.get(key(model.kind, name, model.provider));
    const found = own ?? catalogue.byKey.get(key(model.kind, name));
    if (found) return found;
  }
  return null;
}

/** Facts of a model of any kind by its name alone, or of exactly one when kind and provider are given; null when unknown. */
export function modelFacts(catalogue: PriceCatalogue, model: string | PricedModel): ModelFacts | null {
  const candidates: PricedModel[] =
    typeof model === 'string'
      ? (['openai', 'anthropic', 'openai_compatible'] as const).map((kind) => ({ kind, model }))
      : [model];
  for (const candidate of candidates) {
    const entry = findModelPrice(catalogue, candidate);
    if (!entry) continue;
    const { contextWindow, maxOutput, tokenizerFactor } = entry;
    return { contextWindow, maxOutput, tokenizerFactor, endsAt: modelEndsAt(catalogue, candidate) };
  }
  return null;
}

/** First day (UTC, ISO date) on which a vendor no longer serves a model, null when none is announced; also for models without a price. */
export function modelEndsAt(catalogue: PriceCatalogue, model: PricedModel): string | null {
  for (const name of namesOf(model.model)) {
    const endsAt = catalogue.endsByKey.get(key(model.kind, name));
    if (endsAt !== undefined) return endsAt;
  }
  return null;
}

function index(file: PriceFile, extra: ModelPrice[]): PriceCatalogue {
  const byKey = new Map<string, ModelPrice>();
  for (const entry of [...file.models, ...extra]) {
    for (const name of [entry.model, ...entry.aliases])
      byKey.set(key(entry.kind, name, entry.provider), entry);
  }
  const endsByKey = new Map<string, string>();
  for (const { kind, models, endsAt } of file.ends) {
    for (const name of models) endsByKey.set(key(kind, name), endsAt);
  }
  return { updatedAt: file.updatedAt, byKey, endsByKey };
}

function key(kind: ProviderKind, model: string, provider?: string): string {
  return `${kind}\n${provider ?? ''}\n${model}`;
}

/** The name, then the name of its family: `gpt-6-luna-2026-09-01`, `claude-haiku-4-5-20251001`, `…-latest`. */
function namesOf(model: string): string[] {
  const family = model.replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '');
  return family === model ? [model] : [model, family];
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown, where: string): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new Error(`${where} is not a usable price catalogue:\n${z.prettifyError(parsed.error)}`);
}
