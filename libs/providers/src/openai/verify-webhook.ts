import OpenAI from 'openai';
import { z } from 'zod';

/** A webhook of the vendor that is what it says. It is a hint to look, never the truth: the batch is asked again. */
export interface ProviderWebhookEvent {
  /** Such as `batch.completed`. */
  type: string;
  /** The vendor's id of the batch; null for events of other things. */
  batchId: string | null;
}

const eventSchema = z.object({ type: z.string(), data: z.object({ id: z.string() }).nullish() });

/**
 * Checks OpenAI's signature (Standard Webhooks; at most 5 minutes old) over the body as it came in, and reads the event.
 * Null when the signature, the age or the body is wrong. `headers` has lower-case names.
 */
export async function verifyProviderWebhook(
  rawBody: string,
  headers: Record<string, string | string[] | undefined>,
  secret: string,
): Promise<ProviderWebhookEvent | null> {
  // No request is made with it: the check needs the client's shape only.
  const client = new OpenAI({ apiKey: 'none', adminAPIKey: null, webhookSecret: null, logLevel: 'off' });
  try {
    const event = eventSchema.safeParse(await client.webhooks.unwrap(rawBody, headers, secret));
    if (!event.success) return null;
    const { type, data } = event.data;
    return { type, batchId: type.startsWith('batch.') ? (data?.id ?? null) : null };
  } catch {
    // Whatever the library dislikes (a missing header, an old timestamp, a wrong signature, no JSON): not to be trusted.
    return null;
  }
}
