import { isObject, numberOf, stringOf, type JsonObject } from './json-value.ts';

export type Vendor = 'openai' | 'anthropic';

/** Prices in USD per million tokens. `cachedInput` or `cacheWrite` null: billed as plain input. */
export interface ModelPrice {
  readonly input: number;
  readonly cachedInput: number | null;
  readonly cacheWrite: number | null;
  readonly output: number;
}

/** From `aboveInputTokens` on, the whole request is billed at `price`. */
export interface PriceBand {
  readonly aboveInputTokens: number;
  readonly price: ModelPrice;
}

/** What the simulator knows of one model. Figures: the price tables of both vendors as of 2026-11-18. */
export interface ModelCard {
  readonly id: string;
  readonly vendor: Vendor;
  readonly kind: 'chat' | 'embedding';
  /** Models of one group share their rate limits (Anthropic limits by class, OpenAI by model). */
  readonly limitGroup: string;
  readonly contextTokens: number;
  readonly maxOutputTokens: number;
  /** Reasoning models refuse `max_tokens` and sampling parameters (OpenAI). */
  readonly reasoning: boolean;
  /** OpenAI: sampling parameters are accepted when `reasoning_effort` is `none`. */
  readonly samplingWithoutReasoning: boolean;
  /** OpenAI: `reasoning_effort: none` is a 400. */
  readonly refusesEffortNone: boolean;
  /** Anthropic: forced `tool_choice` is a 400. */
  readonly refusesForcedTools: boolean;
  /** Anthropic: a last message of the assistant is a 400. */
  readonly refusesPrefill: boolean;
  /** The vendor's tokens per token of o200k_base, for input text. */
  readonly inputTokenFactor: number;
  readonly price: ModelPrice;
  readonly band: PriceBand | null;
}

export interface ModelCatalogue {
  find(vendor: Vendor, id: string): ModelCard | null;
  list(vendor: Vendor): readonly ModelCard[];
}

/** The catalogue: built-in cards plus those that the configuration adds by id. */
export function createModelCatalogue(additions: Readonly<Record<string, unknown>>): ModelCatalogue {
  const cards = new Map<string, ModelCard>();
  for (const card of builtInCards()) cards.set(`${card.vendor}/${card.id}`, card);
  for (const [id, value] of Object.entries(additions)) {
    const card = cardFromConfig(id, isObject(value) ? value : {});
    cards.set(`${card.vendor}/${id}`, card);
  }
  return {
    find: (vendor, id) =>
      cards.get(`${vendor}/${id}`) ??
      cards.get(`${vendor}/${id.replace(/-\d{8}$|-\d{4}-\d{2}-\d{2}$/, '')}`) ??
      null,
    list: (vendor) => [...cards.values()].filter((card) => card.vendor === vendor),
  };
}

function cardFromConfig(id: string, value: JsonObject): ModelCard {
  const vendor: Vendor = stringOf(value['vendor']) === 'anthropic' ? 'anthropic' : 'openai';
  const price: ModelPrice = {
    input: numberOf(value['input']) ?? 0,
    cachedInput: numberOf(value['cachedInput']),
    cacheWrite: numberOf(value['cacheWrite']),
    output: numberOf(value['output']) ?? 0,
  };
  const base = vendor === 'openai' ? openaiCard(id, price) : anthropicCard(id, price);
  return {
    ...base,
    limitGroup: stringOf(value['limitGroup']) ?? id,
    contextTokens: numberOf(value['contextTokens']) ?? base.contextTokens,
    maxOutputTokens: numberOf(value['maxOutputTokens']) ?? base.maxOutputTokens,
    reasoning: value['reasoning'] === true,
  };
}

function priced(
  input: number,
  cachedInput: number | null,
  cacheWrite: number | null,
  output: number,
): ModelPrice {
  return { input, cachedInput, cacheWrite, output };
}

function openaiCard(id: string, price: ModelPrice, changes: Partial<ModelCard> = {}): ModelCard {
  return {
    id,
    vendor: 'openai',
    kind: 'chat',
    limitGroup: id,
    contextTokens: 1_050_000,
    maxOutputTokens: 128_000,
    reasoning: true,
    samplingWithoutReasoning: false,
    refusesEffortNone: false,
    refusesForcedTools: false,
    refusesPrefill: false,
    inputTokenFactor: 1,
    price,
    band: null,
    ...changes,
  };
}

/** Input above 272K tokens bills the whole request at twice the input and 1.5 times the output price. */
function longContext(price: ModelPrice): PriceBand {
  const doubled = (value: number | null): number | null => (value === null ? null : value * 2);
  return {
    aboveInputTokens: 272_000,
    price: priced(price.input * 2, doubled(price.cachedInput), doubled(price.cacheWrite), price.output * 1.5),
  };
}

function gpt6(id: string, price: ModelPrice, changes: Partial<ModelCard> = {}): ModelCard {
  return openaiCard(id, price, { band: longContext(price), ...changes });
}

function anthropicCard(id: string, price: ModelPrice, changes: Partial<ModelCard> = {}): ModelCard {
  return {
    ...openaiCard(id, price),
    vendor: 'anthropic',
    contextTokens: 1_000_000,
    reasoning: false,
    inputTokenFactor: 1.1,
    ...changes,
  };
}

function builtInCards(): readonly ModelCard[] {
  const strict = { refusesForcedTools: true, refusesPrefill: true };
  return [
    gpt6('gpt-6.2-astra', priced(8, 0.4, null, 40), { refusesEffortNone: true }),
    gpt6('gpt-6.2-sol', priced(2, null, null, 10), { refusesEffortNone: true }),
    gpt6('gpt-6.1-sol', priced(2, 0.1, 2.5, 10), { refusesEffortNone: true }),
    gpt6('gpt-6.1-terra', priced(1, 0.05, 1.25, 5), { samplingWithoutReasoning: true }),
    gpt6('gpt-6-sol', priced(2, 0.2, 2.5, 10), { samplingWithoutReasoning: true }),
    gpt6('gpt-6-luna', priced(0.1, 0.01, 0.125, 0.5)),
    gpt6('gpt-6-astra', priced(10, 1, 12.5, 50), { refusesEffortNone: true }),
    gpt6('gpt-5.6-sol', priced(4, 0.4, 5, 20)),
    openaiCard('gpt-5.4-mini', priced(0.75, 0.075, null, 4.5), { contextTokens: 400_000 }),
    openaiCard('gpt-5.4-nano', priced(0.2, 0.02, null, 1.25), { contextTokens: 400_000 }),
    openaiCard('gpt-4.1-mini', priced(0.4, 0.1, null, 1.6), { maxOutputTokens: 32_768, reasoning: false }),
    embedding('text-embedding-3-small', 0.02),
    embedding('text-embedding-3-large', 0.13),
    anthropicCard('claude-fable-5-2', priced(8, 0.2, 10, 40), { limitGroup: 'fable', ...strict }),
    anthropicCard('claude-fable-5-1', priced(10, 0.25, 12.5, 50), { limitGroup: 'fable', ...strict }),
    anthropicCard('claude-opus-5-5', priced(4, 0.2, 5, 20), { limitGroup: 'opus', ...strict }),
    anthropicCard('claude-sonnet-5-5', priced(2, 0.1, 2.5, 10), { limitGroup: 'sonnet', ...strict }),
    anthropicCard('claude-haiku-5-5', priced(0.1, 0.01, 0.125, 0.5), {
      limitGroup: 'haiku',
      inputTokenFactor: 1.3,
      band: { aboveInputTokens: 100_000, price: priced(0.5, 0.05, null, 2.5) },
    }),
    anthropicCard('claude-haiku-4-5', priced(1, 0.1, 1.25, 5), {
      limitGroup: 'haiku-4-5',
      contextTokens: 200_000,
      maxOutputTokens: 64_000,
      inputTokenFactor: 1,
    }),
  ];
}

function embedding(id: string, inputPrice: number): ModelCard {
  return openaiCard(id, priced(inputPrice, null, null, 0), {
    kind: 'embedding',
    contextTokens: 8_192,
    maxOutputTokens: 0,
    reasoning: false,
  });
}
