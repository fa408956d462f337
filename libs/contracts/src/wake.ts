import { z } from 'zod';

/** Payload of a wake on the jobs queue: somebody should look at this job. */
export const jobWakeSchema = z.object({ jobId: z.string() });
/** Payload of a wake on a pool's queue: somebody should run this step. */
export const stepWakeSchema = z.object({ jobId: z.string(), key: z.string() });
/** Payload of a wake on the webhooks queue: somebody should try this delivery. */
export const deliveryWakeSchema = z.object({ deliveryId: z.string() });

export type JobWake = z.infer<typeof jobWakeSchema>;
export type StepWake = z.infer<typeof stepWakeSchema>;
export type DeliveryWake = z.infer<typeof deliveryWakeSchema>;
