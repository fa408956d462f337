import {
  jobObjectSchema,
  listSchema,
  webhookDeliverySchema,
  webhookEndpointPatchSchema,
  webhookEndpointRequestSchema,
  webhookEndpointSchema,
  webhookEventTypes,
} from '@millrace/contracts';
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { deliveryListQuerySchema, endpointListQuerySchema } from '../webhooks/list-queries.ts';
import { bodyProblems, emptyAnswer, jsonAnswer, keyedProblems } from './answers.ts';

const tags = ['Webhooks'];
const endpointPath = z.object({ id: z.string().meta({ description: 'An endpoint’s id, `whk_…`.' }) });
const deliveryPath = z.object({ id: z.string().meta({ description: 'A delivery’s id, `dlv_…`.' }) });

/** `/v1/webhook_endpoints` and `/v1/webhook_deliveries` in the OpenAPI document. */
export const webhookPaths: ZodOpenApiPathsObject = {
  '/v1/webhook_endpoints': {
    post: {
      operationId: 'createWebhookEndpoint',
      tags,
      summary: 'Register a webhook endpoint',
      description:
        'The secret that signs its deliveries is in this answer and never again. A tenant may have 100 endpoints.',
      requestBody: {
        required: true,
        content: { 'application/json': { schema: webhookEndpointRequestSchema } },
      },
      responses: {
        '201': jsonAnswer('The endpoint, with its secret.', webhookEndpointSchema, {
          Location: 'Where the endpoint is.',
        }),
        ...keyedProblems(...bodyProblems, 'webhook_url_refused'),
      },
    },
    get: {
      operationId: 'listWebhookEndpoints',
      tags,
      summary: 'List webhook endpoints',
      requestParams: { query: endpointListQuerySchema },
      responses: {
        '200': jsonAnswer('A page of endpoints.', listSchema(webhookEndpointSchema)),
        ...keyedProblems('validation_failed'),
      },
    },
  },
  '/v1/webhook_endpoints/{id}': {
    get: {
      operationId: 'getWebhookEndpoint',
      tags,
      summary: 'Look at a webhook endpoint',
      requestParams: { path: endpointPath },
      responses: { '200': jsonAnswer('The endpoint.', webhookEndpointSchema), ...keyedProblems('not_found') },
    },
    patch: {
      operationId: 'changeWebhookEndpoint',
      tags,
      summary: 'Change a webhook endpoint',
      requestParams: { path: endpointPath },
      requestBody: {
        required: true,
        content: { 'application/json': { schema: webhookEndpointPatchSchema } },
      },
      responses: {
        '200': jsonAnswer('The endpoint.', webhookEndpointSchema),
        ...keyedProblems(...bodyProblems, 'not_found', 'webhook_url_refused'),
      },
    },
    delete: {
      operationId: 'deleteWebhookEndpoint',
      tags,
      summary: 'Delete a webhook endpoint',
      requestParams: { path: endpointPath },
      responses: { '204': emptyAnswer('Deleted.'), ...keyedProblems('not_found') },
    },
  },
  '/v1/webhook_endpoints/{id}/rotate_secret': {
    post: {
      operationId: 'rotateWebhookSecret',
      tags,
      summary: 'Give a webhook endpoint a new secret',
      description:
        'For a day deliveries carry one signature more, by the secret that was replaced. At most five replaced ones sign at a time.',
      requestParams: { path: endpointPath },
      responses: {
        '200': jsonAnswer('The endpoint, with its new secret.', webhookEndpointSchema),
        ...keyedProblems('not_found'),
      },
    },
  },
  '/v1/webhook_deliveries': {
    get: {
      operationId: 'listWebhookDeliveries',
      tags,
      summary: 'List deliveries with every try',
      requestParams: { query: deliveryListQuerySchema },
      responses: {
        '200': jsonAnswer('A page of deliveries.', listSchema(webhookDeliverySchema)),
        ...keyedProblems('validation_failed'),
      },
    },
  },
  '/v1/webhook_deliveries/{id}': {
    get: {
      operationId: 'getWebhookDelivery',
      tags,
      summary: 'Look at a delivery',
      requestParams: { path: deliveryPath },
      responses: { '200': jsonAnswer('The delivery.', webhookDeliverySchema), ...keyedProblems('not_found') },
    },
  },
  '/v1/webhook_deliveries/{id}/redeliver': {
    post: {
      operationId: 'redeliverWebhook',
      tags,
      summary: 'Deliver again',
      requestParams: { path: deliveryPath },
      responses: {
        '202': jsonAnswer('The delivery, which is on its way.', webhookDeliverySchema),
        ...keyedProblems('not_found', 'delivery_not_final', 'webhook_endpoint_disabled'),
      },
    },
  },
};

const webhookBodySchema = z
  .object({
    id: z.string().meta({ description: 'The event’s id, the same on every try: `evt_…`.' }),
    object: z.literal('event'),
    type: z.enum(webhookEventTypes),
    created_at: z.int().meta({ description: 'Seconds since 1970.' }),
    timestamp: z.string(),
    data: jobObjectSchema
      .partial()
      .meta({ description: 'The job; without its output when the body would pass 20 kB.' }),
  })
  .meta({ id: 'WebhookBody' });

/** What Millrace sends by itself. */
export const webhookMessages: ZodOpenApiPathsObject = {
  'job.event': {
    post: {
      tags,
      summary: 'A job ended, or waits for a decision',
      description: 'Signed as Standard Webhooks asks. Any 2xx within 15 s is success.',
      requestParams: {
        header: z.object({
          'webhook-id': z.string(),
          'webhook-timestamp': z.string(),
          'webhook-signature': z
            .string()
            .meta({ description: '`v1,<base64>`, one more for a day after each rotation.' }),
        }),
      },
      requestBody: { content: { 'application/json': { schema: webhookBodySchema } } },
      responses: { '200': { description: 'Received.' }, '410': { description: 'Disables the endpoint.' } },
    },
  },
};
