import { createDocument } from 'zod-openapi';
import { jobPaths } from './job-paths.ts';
import { batchMessages, openAiBatchPaths } from './openai-batch-paths.ts';
import { operationsPaths } from './operations-paths.ts';
import { providerWebhookPaths } from './provider-webhook-paths.ts';
import { routingPaths } from './routing-paths.ts';
import { webhookMessages, webhookPaths } from './webhook-paths.ts';

/** The OpenAPI 3.1 document, made from the schemas that parse requests and describe answers. */
export function createOpenApiDocument(version: string): ReturnType<typeof createDocument> {
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version,
      description:
        'Takes LLM work that a service cannot wait for, keeps it safe, runs it as fast as the providers and as cheaply as the deadline allow, and hands the result back. Errors are problem documents (RFC 9457) whose `code` is from one catalogue.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [
      { name: 'Jobs', description: 'Submit, watch and steer work.' },
      { name: 'Batches', description: 'OpenAI’s files and batches, for its SDK.' },
      { name: 'Webhooks', description: 'Hear about ends instead of asking.' },
      { name: 'Operations', description: 'Health, metrics, scaling, routes.' },
    ],
    security: [{ bearer: [] }, { apiKey: [] }],
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key, `mr_…`.' },
        apiKey: {
          type: 'apiKey',
          in: 'header',
          name: 'x-api-key',
          description: 'The same key, the other way.',
        },
      },
    },
    paths: {
      ...jobPaths,
      ...openAiBatchPaths,
      ...webhookPaths,
      ...providerWebhookPaths,
      ...routingPaths,
      ...operationsPaths,
    },
    webhooks: { ...webhookMessages, ...batchMessages },
  });
}
