import { jobObjectSchema, jobStatuses, lanes } from '@millrace/contracts';
import type { JobFilter } from '@millrace/ledger';
import { z } from 'zod';
import { parseBody } from '../http/parse.ts';

const limitSchema = z
  .string()
  .regex(/^(?:[1-9]|[1-9]\d|100)$/, 'a whole number from 1 to 100')
  .transform(Number)
  .default(20)
  .meta({ description: '1–100, by default 20' });

const instantSchema = z.iso
  .datetime({ offset: true, error: 'an RFC 3339 instant' })
  .transform((text) => Date.parse(text));

/** Query of `GET /v1/jobs`, without its `metadata[…]` filters. */
export const jobListQuerySchema = z.strictObject({
  limit: limitSchema,
  after: z.string().optional().meta({ description: 'Jobs older than this one.' }),
  before: z.string().optional().meta({ description: 'Jobs newer than this one.' }),
  status: z.enum(jobStatuses).optional(),
  type: jobObjectSchema.shape.type.optional(),
  lane: z.enum(lanes).optional(),
  created_after: instantSchema.optional(),
  created_before: instantSchema.optional(),
});

const oneDirection = jobListQuerySchema.refine(
  ({ after, before }) => after === undefined || before === undefined,
  { path: ['before'], message: 'cannot stand together with after' },
);

/** Query of `GET /v1/jobs/{id}/steps`; `after` is a step key. */
export const stepListQuerySchema = z.strictObject({
  limit: limitSchema,
  after: z.string().optional().meta({ description: 'Steps made after this one (its key).' }),
});

const METADATA = /^metadata\[(.+)\]$/s;

/** What a query string asks for: unknown parameters are refused, `metadata[feature]=digest` asks for equality. */
export function jobFilterOf(query: Record<string, unknown>, tenantId: string): JobFilter {
  const metadata: [string, unknown][] = [];
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(query)) {
    const key = METADATA.exec(name)?.[1];
    if (key === undefined) rest[name] = value;
    else metadata.push([key, value]);
  }
  const parsed = parseBody(oneDirection, rest);
  return {
    tenantId,
    status: parsed.status ?? null,
    type: parsed.type ?? null,
    lane: parsed.lane ?? null,
    metadata: parseBody(metadataSchema, { metadata: Object.fromEntries(metadata) }).metadata,
    createdAfter: parsed.created_after ?? null,
    createdBefore: parsed.created_before ?? null,
    after: parsed.after ?? null,
    before: parsed.before ?? null,
    limit: parsed.limit,
  };
}

const metadataSchema = z.object({ metadata: z.record(z.string(), z.string('one value for each key')) });
