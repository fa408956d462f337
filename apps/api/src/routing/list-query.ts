import { z } from 'zod';

const entrySchema = z
  .string()
  .regex(/^\d{1,15}$/, 'the id of a change')
  .transform(Number);

/** Query of `GET /v1/admin/routes/changes`. */
export const routeChangeQuerySchema = z.strictObject({
  limit: z
    .string()
    .regex(/^(?:[1-9]|[1-9]\d|100)$/, 'a whole number from 1 to 100')
    .transform(Number)
    .default(20)
    .meta({ description: '1–100, by default 20' }),
  after: entrySchema.optional().meta({ description: 'Changes older than this one.' }),
  before: entrySchema.optional().meta({ description: 'Changes newer than this one.' }),
});
