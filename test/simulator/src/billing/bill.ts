import type { ModelCard } from '../model-catalogue.ts';

/** Tokens of one call as the vendor bills them; `inputTokens` includes cached ones and cache writes. */
export interface BilledTokens {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly cacheWriteTokens: number;
  readonly outputTokens: number;
  /** Part of `outputTokens`. */
  readonly reasoningTokens: number;
}

/** What the bill multiplies prices by: batch and flex cost half, priority twice the list price. */
export type PriceTier = 'standard' | 'flex' | 'batch' | 'priority';

export interface BillLine extends BilledTokens {
  readonly account: string;
  readonly model: string;
  readonly tier: PriceTier;
  readonly calls: number;
  readonly costUsd: string;
}

export interface Bill {
  add(account: string, card: ModelCard, tier: PriceTier, tokens: BilledTokens): void;
  lines(): readonly BillLine[];
  totalUsd(): string;
  clear(): void;
}

/** The running bill of all accounts, in whole nano-dollars so that sums are exact. */
export function createBill(): Bill {
  const lines = new Map<string, { line: Omit<BillLine, 'costUsd'>; nanoUsd: number }>();
  return {
    add(account, card, tier, tokens) {
      const key = `${account}|${card.id}|${tier}`;
      const known = lines.get(key);
      const line = known?.line ?? { account, model: card.id, tier, calls: 0, ...noTokens() };
      lines.set(key, {
        line: {
          ...line,
          calls: line.calls + 1,
          inputTokens: line.inputTokens + tokens.inputTokens,
          cachedInputTokens: line.cachedInputTokens + tokens.cachedInputTokens,
          cacheWriteTokens: line.cacheWriteTokens + tokens.cacheWriteTokens,
          outputTokens: line.outputTokens + tokens.outputTokens,
          reasoningTokens: line.reasoningTokens + tokens.reasoningTokens,
        },
        nanoUsd: (known?.nanoUsd ?? 0) + nanoUsdOf(card, tier, tokens),
      });
    },
    lines: () => [...lines.values()].map(({ line, nanoUsd }) => ({ ...line, costUsd: usd(nanoUsd) })),
    totalUsd: () => usd([...lines.values()].reduce((sum, { nanoUsd }) => sum + nanoUsd, 0)),
    clear() {
      lines.clear();
    },
  };
}

export function noTokens(): BilledTokens {
  return { inputTokens: 0, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 };
}

/** The price of one call in nano-dollars: USD per million tokens is thousand nano-dollars per token. */
export function nanoUsdOf(card: ModelCard, tier: PriceTier, tokens: BilledTokens): number {
  const price =
    card.band !== null && tokens.inputTokens > card.band.aboveInputTokens ? card.band.price : card.price;
  const plainInput = tokens.inputTokens - tokens.cachedInputTokens - tokens.cacheWriteTokens;
  const dollarsPerMillion =
    plainInput * price.input +
    tokens.cachedInputTokens * (price.cachedInput ?? price.input) +
    tokens.cacheWriteTokens * (price.cacheWrite ?? price.input) +
    tokens.outputTokens * price.output;
  return Math.round(dollarsPerMillion * 1_000 * FACTORS[tier]);
}

const FACTORS: Readonly<Record<PriceTier, number>> = { standard: 1, flex: 0.5, batch: 0.5, priority: 2 };

function usd(nanoUsd: number): string {
  return (nanoUsd / 1e9).toFixed(9);
}
