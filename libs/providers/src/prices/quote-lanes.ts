import { noUsage } from '@millrace/contracts';
import type { MicroUsd } from '@millrace/contracts';
import { costMicroUsd } from './call-cost.ts';
import { findModelPrice } from './price-catalogue.ts';
import type { PriceCatalogue, PricedModel } from './price-catalogue.ts';

/** What {@link quoteLanes} needs: how large a call is, or a group of like calls of which each stays in one context band. */
export interface LanedCall extends PricedModel {
  inputTokens: number;
  outputTokens: number;
  at: Date;
}

/** The price of the same tokens in each lane; null where the model has no price there. Whether a lane can be had is not told. */
export interface LaneQuote {
  realtime: MicroUsd;
  batch: MicroUsd | null;
  flex: MicroUsd | null;
}

/** What a call would cost in each lane, nothing of it cached; null for a model without a price. */
export function quoteLanes(catalogue: PriceCatalogue, call: LanedCall): LaneQuote | null {
  if (findModelPrice(catalogue, call) === null) return null;
  const { inputTokens, outputTokens, ...model } = call;
  const usage = { ...noUsage, inputTokens, outputTokens };
  const inTier = (tier: string | null) => costMicroUsd(catalogue, { ...model, usage, tier });
  const orNull = ({ microUsd, known }: { microUsd: MicroUsd; known: boolean }) => (known ? microUsd : null);
  return {
    realtime: inTier(null).microUsd,
    batch: orNull(inTier('batch')),
    flex: orNull(inTier('flex')),
  };
}
