import { z } from 'zod';
import { parseDurationMs } from './duration.ts';
import { jsonSchema } from './json.ts';
import { parseUsd } from './money.ts';
import { planNodeShapes } from './plan.ts';
import type { PlanNode } from './plan.ts';
import { usageSchema } from './usage.ts';

export const jobStatuses = [
  'queued',
  'in_progress',
  'requires_action',
  'completed',
  'failed',
  'cancelled',
  'expired',
] as const;
export type JobStatus = (typeof jobStatuses)[number];

export const terminalJobStatuses = ['completed', 'failed', 'cancelled', 'expired'] as const;
export type TerminalJobStatus = (typeof terminalJobStatuses)[number];

/** Whether a status is final: it is written once and never changes. */
export function isTerminal(status: JobStatus): status is TerminalJobStatus {
  return (terminalJobStatuses as readonly string[]).includes(status);
}

export const priorities = ['realtime', 'standard', 'background'] as const;
export type Priority = (typeof priorities)[number];

export const lanes = ['auto', 'realtime', 'batch'] as const;
export type LaneChoice = (typeof lanes)[number];

/** What becomes of a job whose deadline cannot be met: refused at the intake, or run as well as it goes. */
export const latePolicies = ['refuse', 'best_effort'] as const;
export type LatePolicy = (typeof latePolicies)[number];

export const webhookEventTypes = [
  'job.completed',
  'job.failed',
  'job.cancelled',
  'job.expired',
  'job.requires_action',
] as const;
export type WebhookEventType = (typeof webhookEventTypes)[number];

const deadlineSchema = z
  .string()
  .refine(
    (text) => parseDurationMs(text) !== null || !Number.isNaN(Date.parse(text)),
    'a duration such as "90s", "15m", "2h", or an RFC 3339 instant',
  );

const jobWebhookSchema = z.strictObject({
  url: z.url().max(2048),
  events: z
    .array(z.enum(webhookEventTypes))
    .min(1)
    .max(webhookEventTypes.length)
    .optional()
    .meta({ description: 'Default: every ending.' }),
});

const optionsShape = {
  input: jsonSchema.optional().meta({ description: 'Data, any JSON; templates see it as `input`.' }),
  params: z
    .record(z.string(), jsonSchema)
    .optional()
    .meta({ description: 'Given by whoever wrote the plan; the only thing a system text may use.' }),
  priority: z.enum(priorities).default('standard'),
  deadline: deadlineSchema.optional(),
  lane: z.enum(lanes).default('auto').meta({
    description: 'auto: the deadline decides; batch: half the price, within a day; realtime: at once.',
  }),
  on_late: z
    .enum(latePolicies)
    .default('best_effort')
    .meta({ description: 'What becomes of a job whose deadline cannot be met in its lane.' }),
  max_cost_usd: z
    .string()
    .refine((text) => (parseUsd(text) ?? 0) > 0, 'a positive decimal string such as "0.50"')
    .optional(),
  webhook: jobWebhookSchema.optional(),
  metadata: z.record(z.string(), z.string()).default({}),
};

const [call, chain, router, fanOut, mapReduce, embed] = planNodeShapes;

/** The body of `POST /v1/jobs`: a plan node plus options. Unknown fields are refused with their path. */
export const jobRequestSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ ...call, ...optionsShape }),
    z.strictObject({ ...chain, ...optionsShape }),
    z.strictObject({ ...router, ...optionsShape }),
    z.strictObject({ ...fanOut, ...optionsShape }),
    z.strictObject({ ...mapReduce, ...optionsShape }),
    z.strictObject({ ...embed, ...optionsShape }),
  ])
  .meta({ id: 'JobRequest' });

export type JobRequest = z.infer<typeof jobRequestSchema>;
export type JobOptions = z.infer<z.ZodObject<typeof optionsShape>>;

/** Takes a parsed request apart into the plan and the options that go with it. */
export function splitJobRequest(request: JobRequest): { plan: PlanNode; options: JobOptions } {
  const { input, params, priority, deadline, lane, on_late, max_cost_usd, webhook, metadata, ...plan } =
    request;
  return {
    plan: plan,
    options: { input, params, priority, deadline, lane, on_late, max_cost_usd, webhook, metadata },
  };
}

/** Why a job or a step failed, as the ledger keeps it and the API shows it. */
export const jobErrorSchema = z
  .object({
    code: z.string(),
    message: z.string(),
    step: z.string().optional(),
    provider: z
      .object({
        name: z.string(),
        status: z.int().nullable(),
        code: z.string().nullable(),
        request_id: z.string().nullable(),
      })
      .optional(),
  })
  .meta({ id: 'JobError' });

export type JobError = z.infer<typeof jobErrorSchema>;

/** The job object of the API. */
export const jobObjectSchema = z
  .object({
    id: z.string(),
    object: z.literal('job'),
    type: z.enum(['call', 'chain', 'router', 'fan_out', 'map_reduce', 'embed']),
    status: z.enum(jobStatuses),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    deadline_at: z.string().nullable(),
    priority: z.enum(priorities),
    lane: z.enum(lanes),
    on_late: z.enum(latePolicies),
    progress: z.object({
      steps_done: z.int(),
      steps_known: z.int(),
      steps_answered: z.int().meta({
        description:
          'Steps that are done, and those that a provider is known to have answered in a batch that has not ended.',
      }),
      queue_position: z.int().nullable(),
      eta_seconds: z.number().nullable(),
    }),
    degraded: z.boolean().meta({
      description:
        'True when a route was down and an answer came from its last resort or an earlier request.',
    }),
    output: jsonSchema.nullable(),
    error: jobErrorSchema.nullable(),
    usage: usageSchema,
    cost_usd: z.string(),
    max_cost_usd: z.string().nullable(),
    metadata: z.record(z.string(), z.string()),
    erased: z.boolean().meta({ description: 'True after DELETE: the content is gone, the record stays.' }),
  })
  .meta({ id: 'Job' });

export type JobObject = z.infer<typeof jobObjectSchema>;

/** `GET /v1/jobs` and every other list. */
export function listSchema<Item extends z.ZodType>(item: Item) {
  return z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
}

/** Body of `POST /v1/jobs/{id}/resolve`: what to do with steps whose outcome is unknown. */
export const resolveRequestSchema = z
  .strictObject({
    action: z.enum(['retry', 'fail']),
    step: z
      .string()
      .refine((key) => !key.includes('\0'), 'must not contain NUL')
      .optional()
      .meta({ description: 'One held step; without it all held steps of the job.' }),
  })
  .meta({ id: 'ResolveRequest' });
