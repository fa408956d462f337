import { z } from 'zod';

const tokensSchema = z.array(z.looseObject({ logprob: z.number().max(0) })).nullish();

/** The log probabilities in a vendor's list of tokens; none when the list is absent or not to be trusted. */
export function readLogprobs(tokens: unknown): number[] {
  return (tokensSchema.safeParse(tokens).data ?? []).map(({ logprob }) => logprob);
}
