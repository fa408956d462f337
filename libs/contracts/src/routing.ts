import { z } from 'zod';

/**
 * A change of a route that was made at run time, kept in the ledger. `route` null means the target on every route and for
 * calls that name it as their model. A null value stands for what the configuration says.
 */
export interface RouteOverride {
  route: string | null;
  target: string;
  weight: number | null;
  enabled: boolean | null;
}

const targetSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,31}\/[\x21-\x7e]{1,160}$/, 'a target is "provider/model"')
  .meta({ description: 'provider/model' });
const weightSchema = z.number().min(0).max(1_000_000).nullable();
const enabledSchema = z.boolean().nullable();

/** Body of `PATCH /v1/admin/routes/{route}`. */
export const routePatchSchema = z
  .strictObject({
    targets: z
      .array(
        z
          .strictObject({
            target: targetSchema,
            weight: weightSchema.optional().meta({
              description:
                'Its share in relation to the others; 0: only when no other can be used; null: as configured.',
            }),
            enabled: enabledSchema
              .optional()
              .meta({ description: 'false: no call of this route goes there; null: as configured.' }),
          })
          .refine(({ weight, enabled }) => weight !== undefined || enabled !== undefined, {
            message: 'weight or enabled is needed',
          }),
      )
      .min(1)
      .max(100),
  })
  .meta({ id: 'RoutePatch' });

/** Body of `PATCH /v1/admin/targets/{target}`. */
export const targetPatchSchema = z
  .strictObject({
    enabled: enabledSchema.meta({
      description: 'false: no call goes there, on no route; true or null: calls go there again.',
    }),
  })
  .meta({ id: 'TargetPatch' });

const routedTargetSchema = z.object({
  target: z.string(),
  weight: z.number().nullable().meta({ description: 'null for a fallback: those have an order.' }),
  configured_weight: z.number().nullable(),
  enabled: z.boolean().meta({ description: 'Whether calls of this route may go there now.' }),
  switched_off: z.enum(['on_this_route', 'everywhere']).nullable(),
});

/** A route as it is in force. */
export const routeObjectSchema = z
  .object({
    name: z.string(),
    object: z.literal('route'),
    targets: z.array(routedTargetSchema),
    fallback: z.array(routedTargetSchema).meta({ description: 'In the order in which they are tried.' }),
    degraded: z
      .union([
        z.enum(['wait', 'fail']),
        z.object({ use: z.string() }),
        z.object({ stale_for_seconds: z.number() }),
      ])
      .meta({ description: 'What happens to calls while no target can be used.' }),
  })
  .meta({ id: 'Route' });

/** A target as it is in force. */
export const targetObjectSchema = z
  .object({
    target: z.string(),
    object: z.literal('target'),
    enabled: z.boolean(),
    routes: z.array(z.string()).meta({ description: 'The routes that name it.' }),
  })
  .meta({ id: 'Target' });

const routeStateSchema = z.object({ weight: z.number().nullable(), enabled: z.boolean() });

/** One entry of the audit of run-time changes. */
export const routeChangeSchema = z
  .object({
    id: z.string(),
    object: z.literal('route_change'),
    at: z.string(),
    api_key_id: z.string().meta({ description: 'The key that made the change.' }),
    tenant_id: z.string(),
    route: z.string().nullable().meta({ description: 'null: the target on every route.' }),
    target: z.string(),
    before: routeStateSchema,
    after: routeStateSchema,
  })
  .meta({ id: 'RouteChange' });

export type RouteObject = z.infer<typeof routeObjectSchema>;
export type TargetObject = z.infer<typeof targetObjectSchema>;
export type RouteChangeObject = z.infer<typeof routeChangeSchema>;
