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
  /** `batch` for lines of provider batches, whatever their price; else `realtime`. */
  readonly lane: 'batch' | 'realtime';
  readonly calls: number;
  readonly costUsd: string;
  /** What the same tokens cost at the standard tier. */
  readonly standardUsd: string;
}

export interface Bill {
  /** Gives what this call costs, in nano-dollars. */
  add(account: string, card: ModelCard, tier: PriceTier, tokens: BilledTokens): number;
  lines(): readonly BillLine[];
  totalUsd(): string;
  /** What each lane cost, and would have cost at the standard tier. */
  lanes(): Readonly<Record<BillLine['lane'], { readonly costUsd: string; readonly standardUsd: string }>>;
  clear(): void;
}

interface BilledLine {
  readonly line: Omit<BillLine, 'costUsd' | 'standardUsd'>;
  readonly nanoUsd: number;
  readonly standardNanoUsd: number;
}

/** The running bill of all accounts, in whole nano-dollars so that sums are exact. */
export function createBill(): Bill {
  const lines = new Map<string, BilledLine>();

  function sumOf(lane: BillLine['lane'] | null): { nanoUsd: number; standardNanoUsd: number } {
    const sum = { nanoUsd: 0, standardNanoUsd: 0 };
    for (const { line, nanoUsd, standardNanoUsd } of lines.values()) {
      if (lane !== null && line.lane !== lane) continue;
      sum.nanoUsd += nanoUsd;
      sum.standardNanoUsd += standardNanoUsd;
    }
    return sum;
  }

  return {
    add(account, card, tier, tokens) {
      const key = `${account}|${card.id}|${tier}`;
      const known = lines.get(key);
      const lane = tier === 'batch' ? 'batch' : 'realtime';
      const line = known?.line ?? { account, model: card.id, tier, lane, calls: 0, ...noTokens() };
      const nanoUsd = nanoUsdOf(card, tier, tokens);
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
        nanoUsd: (known?.nanoUsd ?? 0) + nanoUsd,
        standardNanoUsd: (known?.standardNanoUsd ?? 0) + nanoUsdOf(card, 'standard', tokens),
      });
      return nanoUsd;
    },
    lines: () =>
      [...lines.values()].map(({ line, nanoUsd, standardNanoUsd }) => ({
        ...line,
        costUsd: usdText(nanoUsd),
        standardUsd: usdText(standardNanoUsd),
      })),
    totalUsd: () => usdText(sumOf(null).nanoUsd),
    lanes() {
      const lane = (name: BillLine['lane']): { costUsd: string; standardUsd: string } => {
        const sum = sumOf(name);
        return { costUsd: usdText(sum.nanoUsd), standardUsd: usdText(sum.standardNanoUsd) };
      };
      return { batch: lane('batch'), realtime: lane('realtime') };
    },
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

/** Nano-dollars as a decimal number of dollars. */
export function usdText(nanoUsd: number): string {
  return (nanoUsd / 1e9).toFixed(9);
}
