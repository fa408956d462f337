import { z } from 'zod';
import { jsonSchema } from './json.ts';
import { usageSchema } from './usage.ts';

/**
 * What one step asks of a provider, with every template already rendered: the ledger keeps it as JSON, so a stored field
 * is only ever added, as optional.
 */
export const stepRequestSchema = z.object({
  kind: z.literal('call'),
  /** Exactly one of `route` and `model` is set. */
  route: z.string().nullable(),
  model: z.string().nullable(),
  system: z.string().nullable(),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant']), content: z.string() })).min(1),
  output: z.object({ schema: z.record(z.string(), z.unknown()), name: z.string() }).nullable(),
  maxOutputTokens: z.int().min(1).nullable(),
  /** 0 to 2, and 0 to 1; absent where the model's own are wanted. */
  temperature: z.number().optional(),
  topP: z.number().optional(),
  stream: z.boolean(),
  /** Asks for the log probabilities of the answer's tokens. */
  logprobs: z.boolean().optional(),
  /**
   * Set where vectors are asked for instead of text: then each message is one input. `single`: the output is the one
   * vector, not a list.
   */
  embedding: z
    .object({
      dimensions: z.int().min(1).nullable(),
      encoding: z.enum(['float', 'base64']),
      single: z.boolean(),
    })
    .optional(),
  /** Lowers the policy's number of repairs. */
  maxRepairs: z.int().min(0).optional(),
});

export type StepRequest = z.infer<typeof stepRequestSchema>;

/** How the stored shapes of steps begin that ask for vectors; no base64url begins so. */
export const vectorShapeMark = 'embed.';

/** States of a step in the ledger. `pending → claimed → sent → completed | failed`; the rest are side roads. */
export const stepStatuses = [
  'pending',
  'collected',
  'claimed',
  'sent',
  'held',
  'completed',
  'failed',
  'cancelled',
] as const;
export type StepStatus = (typeof stepStatuses)[number];

/** How a step is served. The provider's batches and OpenAI's flex cost half of realtime. */
export const stepLanes = ['realtime', 'flex', 'batch'] as const;
export type Lane = (typeof stepLanes)[number];

/**
 * How an answer may have come while its route was down: from the route's last resort, or it is an earlier answer to an
 * identical request.
 */
export const degradations = ['cheapest', 'stale'] as const;
export type Degradation = (typeof degradations)[number];

/** One sending of a step, as the API lists it. */
export const attemptObjectSchema = z
  .object({
    number: z.int(),
    target: z.string().meta({ description: 'provider/model' }),
    status: z.enum(['claimed', 'sent', 'completed', 'failed', 'ambiguous', 'interrupted', 'cancelled']),
    purpose: z.enum(['answer', 'repair']),
    request_tag: z.string().meta({
      description:
        'What the call was sent as (x-client-request-id, or custom_id of a batch): to find it at the provider.',
    }),
    started_at: z.string(),
    sent_at: z.string().nullable(),
    first_token_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    provider_request_id: z.string().nullable(),
    http_status: z.int().nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    input_tokens: z.int(),
    cached_input_tokens: z.int(),
    output_tokens: z.int(),
    reasoning_tokens: z.int(),
    cost_usd: z.string(),
  })
  .meta({ id: 'Attempt' });

export type AttemptObject = z.infer<typeof attemptObjectSchema>;

/** A step as the API lists it. */
export const stepObjectSchema = z
  .object({
    key: z.string().meta({ description: 'Path inside the plan, such as "map[3]" or "reduce".' }),
    object: z.literal('step'),
    status: z.enum(['queued', 'in_progress', 'requires_action', 'completed', 'failed', 'cancelled']),
    target: z.string().nullable(),
    route: z.string().nullable(),
    lane: z.enum(stepLanes),
    lane_reason: z
      .string()
      .nullable()
      .meta({ description: 'Why it has this lane, such as "deadline_allows" or "no_deadline".' }),
    batch_id: z.string().nullable().meta({
      description: 'The batch that holds the step or has answered it; null outside of the batch lane.',
    }),
    ambiguous: z.boolean(),
    degraded: z.enum(degradations).nullable().meta({
      description:
        'Set when the route was down: `cheapest` from its last resort, `stale` an earlier answer to an identical request.',
    }),
    output: jsonSchema.nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    usage: usageSchema,
    cost_usd: z.string(),
    attempts: z.array(attemptObjectSchema),
  })
  .meta({ id: 'Step' });

export type StepObject = z.infer<typeof stepObjectSchema>;
