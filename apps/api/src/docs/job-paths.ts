import {
  jobObjectSchema,
  jobRequestSchema,
  listSchema,
  resolveRequestSchema,
  sseEventSchema,
  stepObjectSchema,
} from '@millrace/contracts';
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { jobListQuerySchema, stepListQuerySchema } from '../jobs/list-queries.ts';
import { bodyProblems, emptyAnswer, jsonAnswer, keyedProblems } from './answers.ts';

const tags = ['Jobs'];
const path = z.object({ id: z.string().meta({ description: 'A job’s id, `job_…`.' }) });
const prefer = z
  .string()
  .optional()
  .meta({
    description: '`wait=20`: wait up to so many seconds (60 at most) for the job to end.',
    examples: ['wait=20'],
  });
const preferenceApplied = { 'Preference-Applied': 'The wait that was granted.' };

/** `/v1/jobs` in the OpenAPI document. */
export const jobPaths: ZodOpenApiPathsObject = {
  '/v1/jobs': {
    post: {
      operationId: 'createJob',
      tags,
      summary: 'Submit a job',
      description:
        'A job is a plan node plus delivery options. When this answers 202, the job is committed and will reach exactly one terminal state. Send the same key again whenever an answer is missing.',
      requestParams: {
        header: z.object({
          'Idempotency-Key': z
            .string()
            .min(1)
            .max(255)
            .meta({
              description:
                'Bare or quoted. The same key with the same body stands for the same job; with another body it is refused.',
              examples: ['digest-u_42-2026-11-21'],
            }),
          Prefer: prefer,
        }),
      },
      requestBody: {
        required: true,
        content: { 'application/json': { schema: jobRequestSchema, examples: jobExamples() } },
      },
      responses: {
        '200': jsonAnswer('The job has ended: it was waited for, or it is a replay.', jobObjectSchema, {
          ...preferenceApplied,
          'Idempotent-Replayed': '`true` when the key was used before with this body.',
        }),
        '202': jsonAnswer('The job is committed.', jobObjectSchema, {
          ...preferenceApplied,
          Location: 'Where the job is.',
          'Retry-After': 'When to look for the first time, in seconds.',
          'Idempotent-Replayed': '`true` when the key was used before with this body.',
        }),
        ...keyedProblems(
          ...bodyProblems,
          'idempotency_key_missing',
          'idempotency_key_invalid',
          'idempotency_in_progress',
          'idempotency_key_reused',
          'system_uses_data',
          'template_invalid',
          'plan_too_deep',
          'plan_too_large',
          'prompt_too_large',
          'unknown_model',
          'output_schema_invalid',
          'webhook_url_refused',
          'queue_full',
          'tenant_limit_exceeded',
        ),
      },
    },
    get: {
      operationId: 'listJobs',
      tags,
      summary: 'List jobs',
      description:
        'The tenant’s jobs, newest first. `metadata[key]=value` asks for equality and may stand several times with different keys.',
      requestParams: { query: jobListQuerySchema },
      parameters: [
        {
          name: 'metadata',
          in: 'query',
          style: 'deepObject',
          explode: true,
          description: 'Pairs that a job’s metadata must have, such as `metadata[feature]=digest`.',
          schema: { type: 'object', additionalProperties: { type: 'string' } },
        },
      ],
      responses: {
        '200': jsonAnswer('A page of jobs.', listSchema(jobObjectSchema)),
        ...keyedProblems('validation_failed'),
      },
    },
  },
  '/v1/jobs/{id}': {
    get: {
      operationId: 'getJob',
      tags,
      summary: 'Look at a job, or wait for it',
      requestParams: { path, header: z.object({ Prefer: prefer }) },
      responses: {
        '200': jsonAnswer('The job as it is.', jobObjectSchema, preferenceApplied),
        ...keyedProblems('not_found'),
      },
    },
    delete: {
      operationId: 'eraseJob',
      tags,
      summary: 'Erase what an ended job was about',
      description:
        'Plan, data, results and messages go; what the job used and cost stays, and so does its idempotency key.',
      requestParams: { path },
      responses: {
        '204': emptyAnswer('Erased.'),
        ...keyedProblems('not_found', 'job_not_terminal'),
      },
    },
  },
  '/v1/jobs/{id}/steps': {
    get: {
      operationId: 'listSteps',
      tags,
      summary: 'List a job’s steps with every attempt',
      requestParams: { path, query: stepListQuerySchema },
      responses: {
        '200': jsonAnswer('A page of steps, oldest first.', listSchema(stepObjectSchema)),
        ...keyedProblems('not_found', 'validation_failed'),
      },
    },
  },
  '/v1/jobs/{id}/events': {
    get: {
      operationId: 'streamEvents',
      tags,
      summary: 'Watch a job',
      description:
        'Server-sent events: first what has happened, then what happens, until the terminal event. Each has an `id`; a reader that comes back with it misses nothing and sees nothing twice. A comment every 15 s keeps the connection alive. `step.delta` carries text of a step; after `step.retried` what was shown of that step is void.',
      requestParams: {
        path,
        query: z.object({
          starting_after: z.string().optional().meta({ description: 'Resume after this `sequence_number`.' }),
        }),
        header: z.object({
          'Last-Event-ID': z.string().optional().meta({ description: 'Resume after this `id`.' }),
        }),
      },
      responses: {
        '200': {
          description: 'The stream. The data of each event is a `JobStreamEvent`.',
          content: { 'text/event-stream': { schema: sseEventSchema } },
        },
        '204': emptyAnswer('The terminal event was seen already: there is no reason to come back.'),
        ...keyedProblems('not_found', 'invalid_header', 'validation_failed'),
      },
    },
  },
  '/v1/jobs/{id}/cancel': {
    post: {
      operationId: 'cancelJob',
      tags,
      summary: 'Cancel a job',
      description:
        'Running calls are aborted; what they used is in the answer when they report within a second. A job that has ended stays as it is.',
      requestParams: { path },
      responses: { '200': jsonAnswer('The job.', jobObjectSchema), ...keyedProblems('not_found') },
    },
  },
  '/v1/jobs/{id}/resolve': {
    post: {
      operationId: 'resolveJob',
      tags,
      summary: 'Decide about steps whose outcome is unknown',
      description:
        'For tenants whose policy is `hold`: a call that was sent and whose answer was lost is not sent again until someone says so.',
      requestParams: { path },
      requestBody: { required: true, content: { 'application/json': { schema: resolveRequestSchema } } },
      responses: {
        '200': jsonAnswer('The job, which goes on.', jobObjectSchema),
        ...keyedProblems(...bodyProblems, 'not_found', 'job_not_waiting'),
      },
    },
  },
};

function jobExamples() {
  return {
    call: {
      summary: 'One call',
      value: {
        type: 'call',
        route: 'cheap',
        prompt: 'Say hello to {{ input.name }}.',
        input: { name: 'Ada' },
      },
    },
    map_reduce: {
      summary: 'Summarise a long text',
      value: {
        type: 'map_reduce',
        document: { text: 'A long text …' },
        split: { max_tokens: 1500, overlap_tokens: 100 },
        map: { type: 'call', route: 'cheap', prompt: 'Summarise this part:\n{{ item }}' },
        reduce: {
          type: 'call',
          route: 'quality',
          prompt: 'Combine these notes:\n{% for n in items %}- {{ n }}\n{% endfor %}',
        },
        deadline: '2h',
        max_cost_usd: '0.50',
        metadata: { feature: 'digest' },
      },
    },
  };
}
