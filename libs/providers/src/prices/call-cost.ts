import type { MicroUsd, TokenUsage } from '@millrace/contracts';
import { findModelPrice } from './price-catalogue.ts';
import type { PriceCatalogue, PricedModel } from './price-catalogue.ts';
import type { DatedPrice, ModelPrice } from './price-schema.ts';

/** A call's price; `known` is false when the catalogue has no rate for it, and then the price is 0 or a guess. */
export interface CallCost {
  microUsd: MicroUsd;
  known: boolean;
}

/** What {@link costMicroUsd} needs: who answered, how much, when, and in which tier as the vendor names it. */
export interface PricedCall extends PricedModel {
  usage: TokenUsage;
  tier: string | null;
  at: Date;
  /** How long cached tokens were to live, such as `1h`; absent: the vendor's default. */
  cacheWriteTtl?: string;
}

/** What {@link worstCaseMicroUsd} needs: a call before it is sent. */
export interface UnsentCall extends PricedModel {
  inputTokens: number;
  maxOutputTokens: number;
  tier: string | null;
  at: Date;
}

/** Rates in pico-dollars (millionths of a micro-dollar) per token: whole numbers, so that sums are exact. */
interface Rates {
  input: number;
  cachedInput: number;
  cacheWrite: number;
  output: number;
}

const PICO_PER_MICRO = 1_000_000;

/**
 * What a call cost, rounded half up to a micro-dollar. Unknown models (self-hosted ones) cost 0 with `known` false; an
 * unknown tier is charged at the standard rate with `known` false. In a context band the whole request has its rates.
 */
export function costMicroUsd(catalogue: PriceCatalogue, call: PricedCall): CallCost {
  const entry = findModelPrice(catalogue, call);
  if (!entry) return { microUsd: 0, known: false };
  const { rates, known } = ratesOf(entry, call.usage.inputTokens, call.tier, call.at, call.cacheWriteTtl);
  const { inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens } = call.usage;
  // A vendor that counts its cached tokens wrongly must not make a negative price.
  const fresh = Math.max(0, inputTokens - cachedInputTokens - cacheWriteTokens);
  return {
    microUsd: toMicroUsd(
      fresh * rates.input +
        cachedInputTokens * rates.cachedInput +
        cacheWriteTokens * rates.cacheWrite +
        outputTokens * rates.output,
    ),
    known,
  };
}

/**
 * The most a call can cost: nothing read from a cache, everything written to it where that costs more (newer OpenAI models
 * do it unasked), and all of the allowed output. For caps, before the call is sent.
 */
export function worstCaseMicroUsd(catalogue: PriceCatalogue, call: UnsentCall): CallCost {
  const entry = findModelPrice(catalogue, call);
  if (!entry) return { microUsd: 0, known: false };
  const { rates, known } = ratesOf(entry, call.inputTokens, call.tier, call.at, undefined);
  const dearestInput = Math.max(rates.input, rates.cacheWrite);
  return {
    microUsd: toMicroUsd(call.inputTokens * dearestInput + call.maxOutputTokens * rates.output),
    known,
  };
}

function ratesOf(
  entry: ModelPrice,
  inputTokens: number,
  tier: string | null,
  at: Date,
  cacheWriteTtl: string | undefined,
): { rates: Rates; known: boolean } {
  const price = priceAt(entry, at);
  const band = price.bands
    .filter((each) => inputTokens > each.aboveInputTokens)
    .reduce<DatedPrice['bands'][number] | null>(
      (highest, each) => (highest && highest.aboveInputTokens > each.aboveInputTokens ? highest : each),
      null,
    );
  const rates = band ?? price;
  const factor = tierFactor(price, tier);
  const writeRates = rates.cacheWrite ?? {};
  const written =
    (cacheWriteTtl === undefined ? undefined : writeRates[cacheWriteTtl]) ??
    Object.values(writeRates)[0] ??
    rates.input;
  const pico = (rate: number) => Math.round(rate * PICO_PER_MICRO * (factor ?? 1));
  return {
    rates: {
      input: pico(rates.input),
      cachedInput: pico(rates.cachedInput ?? rates.input),
      cacheWrite: pico(written),
      output: pico(rates.output),
    },
    known: factor !== null,
  };
}

/** The last price that had begun; a call before the first one gets the first. */
function priceAt(entry: ModelPrice, at: Date): DatedPrice {
  const day = at.toISOString().slice(0, 10);
  const begun = entry.prices.findLast((price) => price.from <= day) ?? entry.prices[0];
  if (!begun) throw new Error(`${entry.model} has no price`);
  return begun;
}

/** The factor of a tier in the vendors' words; null when the catalogue does not know it. */
function tierFactor(price: DatedPrice, tier: string | null): number | null {
  switch (tier) {
    case null:
    case 'auto':
    case 'default':
    case 'standard':
    case 'standard_only':
    // Scale is capacity paid for apart.
    case 'scale':
      return 1;
    case 'batch':
      return price.tiers.batch ?? null;
    case 'flex':
      return price.tiers.flex ?? null;
    case 'priority':
    case 'fast':
      return price.tiers.priority ?? null;
    default:
      return null;
  }
}

function toMicroUsd(pico: number): MicroUsd {
  return Math.floor((pico + PICO_PER_MICRO / 2) / PICO_PER_MICRO);
}
