import { webhookDeliverySchema } from '@millrace/contracts';
import { z } from 'zod';

const limitSchema = z
  .string()
  .regex(/^(?:[1-9]|[1-9]\d|100)$/, 'a whole number from 1 to 100')
  .transform(Number)
  .default(20)
  .meta({ description: '1–100, by default 20' });

const paging = {
  limit: limitSchema,
  after: z.string().optional(),
  before: z.string().optional(),
};
const oneDirection = ({ after, before }: { after?: string | undefined; before?: string | undefined }) =>
  after === undefined || before === undefined;

/** Query of `GET /v1/webhook_endpoints`. */
export const endpointListQuerySchema = z
  .strictObject(paging)
  .refine(oneDirection, { path: ['before'], message: 'cannot stand together with after' });

/** Query of `GET /v1/webhook_deliveries`. */
export const deliveryListQuerySchema = z
  .strictObject({
    ...paging,
    job_id: z.string().optional(),
    endpoint_id: z.string().optional(),
    status: webhookDeliverySchema.shape.status.optional(),
  })
  .refine(oneDirection, { path: ['before'], message: 'cannot stand together with after' });
