import { z } from 'zod';
import { providerKinds } from '../provider.ts';

/** US dollars per million tokens; six decimals keep every sum a whole number of pico-dollars. */
const rateSchema = z
  .number()
  .min(0)
  .max(10_000)
  .refine((rate) => Math.abs(rate * 1e6 - Math.round(rate * 1e6)) < 1e-3, 'a rate has at most six decimals');

const ratesShape = {
  input: rateSchema,
  cachedInput: rateSchema.optional(),
  /** By time to live; the first entry is the vendor's default. */
  cacheWrite: z
    .record(z.string().regex(/^\d+[mh]$/), rateSchema)
    .refine((rates) => Object.keys(rates).length > 0, 'at least one time to live')
    .optional(),
  output: rateSchema,
};

const dateSchema = z.iso.date();

const bandSchema = z.strictObject({ aboveInputTokens: z.int().min(1), ...ratesShape });

const priceSchema = z.strictObject({
  from: dateSchema,
  ...ratesShape,
  bands: z.array(bandSchema).default([]),
  tiers: z.partialRecord(z.enum(['batch', 'flex', 'priority']), z.number().positive().max(10)).default({}),
});

/** One model's facts and dated prices, as the catalogue file and the configuration write them. */
export const modelPriceSchema = z.strictObject({
  kind: z.enum(providerKinds),
  /** Only for the provider account of this name; absent: for every account of the kind. */
  provider: z.string().optional(),
  model: z.string().min(1),
  aliases: z.array(z.string().min(1)).default([]),
  contextWindow: z.int().min(1),
  maxOutput: z.int().min(0),
  /** Tokens of this model per token of o200k. */
  tokenizerFactor: z.number().positive().max(10).default(1),
  source: z.string().min(1),
  prices: z
    .array(priceSchema)
    .min(1)
    .refine(
      (prices) => prices.every((price, at) => at === 0 || price.from > (prices[at - 1]?.from ?? '')),
      'prices are ordered by "from", each day once',
    ),
});

/** The whole file. */
export const priceFileSchema = z.strictObject({
  schemaVersion: z.literal(1),
  updatedAt: dateSchema,
  models: z.array(modelPriceSchema),
  ends: z
    .array(
      z.strictObject({ kind: z.enum(providerKinds), models: z.array(z.string()).min(1), endsAt: dateSchema }),
    )
    .default([]),
});

export type ModelPrice = z.infer<typeof modelPriceSchema>;
export type ModelPriceInput = z.input<typeof modelPriceSchema>;
export type DatedPrice = z.infer<typeof priceSchema>;
export type PriceFile = z.infer<typeof priceFileSchema>;
