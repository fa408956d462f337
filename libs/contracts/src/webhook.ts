import { z } from 'zod';
import { webhookEventTypes } from './job.ts';

const urlSchema = z.url().max(2048);
/** The ends of batches that were created through `/v1/batches`, named as OpenAI names them. */
export const batchEventTypes = [
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
] as const;

/** What an endpoint may subscribe to. Those of batches only go to endpoints that name them. */
export const endpointEventTypes = [...webhookEventTypes, ...batchEventTypes] as const;
export type EndpointEventType = (typeof endpointEventTypes)[number];

const eventsSchema = z.array(z.enum(endpointEventTypes)).min(1).max(endpointEventTypes.length);

/** Body of `POST /v1/webhook_endpoints`. */
export const webhookEndpointRequestSchema = z
  .strictObject({
    url: urlSchema,
    events: eventsSchema.default([...webhookEventTypes]),
    description: z.string().max(500).default(''),
  })
  .meta({ id: 'WebhookEndpointRequest' });

/** Body of `PATCH /v1/webhook_endpoints/{id}`. */
export const webhookEndpointPatchSchema = z
  .strictObject({
    url: urlSchema.optional(),
    events: eventsSchema.optional(),
    description: z.string().max(500).optional(),
    enabled: z.boolean().optional(),
  })
  .meta({ id: 'WebhookEndpointPatch' });

/** A webhook endpoint; `secret` is shown on creation and on rotation only. */
export const webhookEndpointSchema = z
  .object({
    id: z.string(),
    object: z.literal('webhook_endpoint'),
    url: z.string(),
    events: z.array(z.enum(endpointEventTypes)),
    description: z.string(),
    enabled: z.boolean(),
    disabled_reason: z.string().nullable(),
    consecutive_failures: z.int().meta({ description: 'Deliveries given up on since the last success.' }),
    failing_since: z.string().nullable().meta({
      description: 'The first failed try since the last success, null when the last try succeeded.',
    }),
    created_at: z.string(),
    previous_secret_expires_at: z.string().nullable(),
    secret: z.string().optional(),
  })
  .meta({ id: 'WebhookEndpoint' });

/** A webhook on its way, with every try. */
export const webhookDeliverySchema = z
  .object({
    id: z.string(),
    object: z.literal('webhook_delivery'),
    event_id: z.string(),
    event_type: z.string(),
    job_id: z.string().nullable().meta({ description: 'Null when it is about a batch.' }),
    batch_id: z.string().nullable().meta({ description: 'The batch of `/v1/batches` that it is about.' }),
    endpoint_id: z.string().nullable(),
    url: z.string(),
    status: z.enum(['pending', 'delivered', 'exhausted', 'cancelled']),
    created_at: z.string(),
    next_try_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    tries: z.array(
      z.object({
        number: z.int(),
        at: z.string(),
        duration_ms: z.int(),
        http_status: z.int().nullable(),
        error: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'WebhookDelivery' });

export type WebhookEndpointObject = z.infer<typeof webhookEndpointSchema>;
export type WebhookDeliveryObject = z.infer<typeof webhookDeliverySchema>;
