import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { emptyAnswer, problemAnswers } from './answers.ts';

/** `/provider_webhooks/{provider}` in the OpenAPI document: what the providers send. */
export const providerWebhookPaths: ZodOpenApiPathsObject = {
  '/provider_webhooks/{provider}': {
    post: {
      operationId: 'receiveProviderWebhook',
      tags: ['Operations'],
      summary: 'Take an event of a provider',
      description:
        'For a provider whose webhook secret is configured. Signed by Standard Webhooks, so that no key is needed; 64 KiB at most. ' +
        'The end of a batch lets it be looked at now.',
      security: [],
      requestParams: { path: z.object({ provider: z.string().meta({ description: 'A provider’s name.' }) }) },
      requestBody: { required: true, content: { 'application/json': { schema: z.looseObject({}) } } },
      responses: {
        '204': emptyAnswer('Taken, whatever it is about.'),
        ...problemAnswers(
          'webhook_signature_invalid',
          'invalid_json',
          'not_found',
          'body_too_large',
          'unsupported_media_type',
          'internal_error',
          'ledger_unavailable',
          'shutting_down',
        ),
      },
    },
  },
};
