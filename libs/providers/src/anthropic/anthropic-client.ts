import Anthropic from '@anthropic-ai/sdk';
import type { ProviderOptions } from '../provider-options.ts';
import { patientFetch } from '../sending/patient-fetch.ts';
import { fetchWithFailures } from '../sending/transport-failure.ts';

/** One request per call, silent, without spans of its own; configured by these options only. */
export function createAnthropicClient(options: ProviderOptions): Anthropic {
  return new Anthropic({
    apiKey: options.apiKey === '' ? 'none' : options.apiKey,
    baseURL: options.baseUrl ?? 'https://api.anthropic.com',
    webhookKey: null,
    maxRetries: 0,
    logLevel: 'off',
    openTelemetry: false,
    fetch: fetchWithFailures(options.fetch ?? patientFetch()),
  });
}
