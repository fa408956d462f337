import type { StepRequest } from '@millrace/contracts';
import { estimateSize } from '../routing/estimate-size.ts';

/** What a call is likely to take of its pool at most, input and output, in tokens. For the order between tenants. */
export function estimateTokens(request: StepRequest, defaultMaxOutputTokens: number): number {
  const { inputTokens, maxOutputTokens } = estimateSize(request, defaultMaxOutputTokens);
  return Math.ceil(inputTokens) + maxOutputTokens;
}
