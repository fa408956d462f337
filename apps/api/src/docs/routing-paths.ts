import {
  listSchema,
  routeChangeSchema,
  routeObjectSchema,
  routePatchSchema,
  targetObjectSchema,
  targetPatchSchema,
} from '@millrace/contracts';
import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { routeChangeQuerySchema } from '../routing/list-query.ts';
import { bodyProblems, jsonAnswer, keyedProblems } from './answers.ts';

const tags = ['Operations'];
const description = 'Needs a key with the scope `admin`.';

/** `/v1/admin/routes` and `/v1/admin/targets` in the OpenAPI document. */
export const routingPaths: ZodOpenApiPathsObject = {
  '/v1/admin/routes': {
    get: {
      operationId: 'listRoutes',
      tags,
      summary: 'The routes as they are in force',
      description,
      responses: { '200': jsonAnswer('All of them.', listSchema(routeObjectSchema)), ...keyedProblems() },
    },
  },
  '/v1/admin/routes/changes': {
    get: {
      operationId: 'listRouteChanges',
      tags,
      summary: 'Who changed which route, from what to what',
      description,
      requestParams: { query: routeChangeQuerySchema },
      responses: {
        '200': jsonAnswer('A page of changes, newest first.', listSchema(routeChangeSchema)),
        ...keyedProblems('validation_failed'),
      },
    },
  },
  '/v1/admin/routes/{route}': {
    patch: {
      operationId: 'changeRoute',
      tags,
      summary: 'Change weights of a route’s targets, switch them off or on',
      description: `${description} In force on all workers within two seconds, until it is changed again.`,
      requestParams: { path: z.object({ route: z.string().meta({ description: 'The route’s name.' }) }) },
      requestBody: { required: true, content: { 'application/json': { schema: routePatchSchema } } },
      responses: {
        '200': jsonAnswer('The route.', routeObjectSchema),
        ...keyedProblems(...bodyProblems, 'not_found'),
      },
    },
  },
  '/v1/admin/targets/{target}': {
    patch: {
      operationId: 'changeTarget',
      tags,
      summary: 'Switch a target off or on, on every route',
      description: `${description} In force on all workers within two seconds, until it is changed again.`,
      requestParams: {
        path: z.object({
          target: z.string().meta({ description: 'provider/model, with `/` written as `%2F`.' }),
        }),
      },
      requestBody: { required: true, content: { 'application/json': { schema: targetPatchSchema } } },
      responses: {
        '200': jsonAnswer('The target.', targetObjectSchema),
        ...keyedProblems(...bodyProblems, 'not_found'),
      },
    },
  },
};
