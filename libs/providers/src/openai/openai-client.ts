import OpenAI from 'openai';
import type { ProviderOptions } from '../provider-options.ts';
import { patientFetch } from '../sending/patient-fetch.ts';
import { fetchWithFailures } from '../sending/transport-failure.ts';

/**
 * The vendor's client as we use it: one request per call (we are the one retry owner), silent (it would log prompts at
 * debug level), and configured by these options only, never by the environment.
 */
export function createOpenAIClient(options: ProviderOptions): OpenAI {
  const hasKey = options.apiKey !== '';
  return new OpenAI({
    apiKey: hasKey ? options.apiKey : 'none',
    adminAPIKey: null,
    baseURL: options.baseUrl ?? 'https://api.openai.com/v1',
    organization: options.organization ?? null,
    project: options.project ?? null,
    webhookSecret: null,
    maxRetries: 0,
    logLevel: 'off',
    fetch: fetchWithFailures(options.fetch ?? patientFetch()),
    // A server of one's own often has no key.
    ...(hasKey ? {} : { defaultHeaders: { authorization: null } }),
  });
}
