export { createProvider } from './create-provider.ts';
export type { ProviderOptions } from './provider-options.ts';
export { providerKinds } from './provider.ts';
export type {
  LimitReading,
  ObservedLimits,
  Provider,
  ProviderAnswer,
  ProviderCall,
  ProviderHooks,
  ProviderKind,
} from './provider.ts';
export { createBatchPort } from './batches/create-batch-port.ts';
export type {
  BatchLimits,
  BatchLineResult,
  BatchPhase,
  BatchPort,
  BatchSubmission,
  ProviderBatch,
  SubmissionProgress,
} from './batches/batch-port.ts';
export { smallestOpenaiOutput } from './openai/responses-request.ts';
export { verifyProviderWebhook } from './openai/verify-webhook.ts';
export type { ProviderWebhookEvent } from './openai/verify-webhook.ts';
export { CallAborted } from './call-aborted.ts';
export type { AbortedCall } from './call-aborted.ts';
export { estimateInputTokens, estimateTextTokens } from './tokens/estimate-input-tokens.ts';
export { findModelPrice, loadPriceCatalogue, modelEndsAt, modelFacts } from './prices/price-catalogue.ts';
export type { ModelFacts, PriceCatalogue, PricedModel } from './prices/price-catalogue.ts';
export { costMicroUsd, worstCaseMicroUsd } from './prices/call-cost.ts';
export type { CallCost, PricedCall, UnsentCall } from './prices/call-cost.ts';
export { quoteLanes } from './prices/quote-lanes.ts';
export type { LaneQuote, LanedCall } from './prices/quote-lanes.ts';
export { modelPriceSchema } from './prices/price-schema.ts';
export type { ModelPriceInput } from './prices/price-schema.ts';
