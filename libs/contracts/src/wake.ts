import { z } from 'zod';

/** Payload of a wake on the jobs queue: somebody should look at this job. */
export const jobWakeSchema = z.object({ jobId: z.string() });
/** Payload of a wake on a pool's queue: somebody should run this step. */
export const stepWakeSchema = z.object({ jobId: z.string(), key: z.string() });
/** Payload of a wake on the webhooks queue: somebody should try this delivery. */
export const deliveryWakeSchema = z.object({ deliveryId: z.string() });

/** Who pays for a step's place in the queue of its pool. */
export interface Charge {
  tenantId: string;
  /** Gives the tenant's weight beside others. */
  tier: string;
  /** What the call is expected to take of the pool: input and output. */
  tokens: number;
  /** Whether the step has been raised to its class because it waited for long: then it does not delay its tenant's other work. */
  aged: boolean;
}

export type JobWake = z.infer<typeof jobWakeSchema>;
export type StepWake = z.infer<typeof stepWakeSchema>;
export type DeliveryWake = z.infer<typeof deliveryWakeSchema>;
