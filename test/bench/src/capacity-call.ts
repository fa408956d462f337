import { readOpenAILimits } from '../../../libs/providers/src/rate-limit-headers/observed-limits.ts';
import type { ObservedLimits } from '@millrace/capacity';

/** Where a call of the bench goes. */
export interface CallAddress {
  simulatorUrl: string;
  apiKey: string;
}

/** Sends one small call that is charged `tokens`, as OpenAI charges: by what may be answered. */
export async function sendCall(
  address: CallAddress,
  id: string,
  tokens: number,
): Promise<{ status: number; limits: ObservedLimits; retryAfterMs: number | null; arrivedBy: number }> {
  const response = await fetch(`${address.simulatorUrl}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${address.apiKey}`,
      'content-type': 'application/json',
      'x-client-request-id': id,
    },
    body: JSON.stringify({
      model: 'gpt-6-luna',
      max_completion_tokens: tokens,
      messages: [{ role: 'user', content: '[[sim:reply=ok]]' }],
    }),
  });
  const processingMs = Number(response.headers.get('openai-processing-ms') ?? 0);
  const arrivedBy = performance.now() - processingMs;
  await response.arrayBuffer();
  const retryAfter = response.headers.get('retry-after');
  return {
    status: response.status,
    limits: readOpenAILimits(response.headers),
    arrivedBy,
    retryAfterMs: retryAfter === null ? null : Number(retryAfter) * 1_000,
  };
}

/** Between 1 and 1,999, on average 1,000. */
export function randomTokens(): number {
  return 1 + Math.floor(Math.random() * 1_999);
}
