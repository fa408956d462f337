import { z } from 'zod';
import type { ZodOpenApiPathsObject } from 'zod-openapi';
import { readinessSchema } from '../operations/readiness.ts';
import { scalingSchema } from '../operations/scaling.ts';
import { jsonAnswer, keyedProblems } from './answers.ts';

const tags = ['Operations'];
const open: [] = [];

/** Health, metrics, scaling and the documentation itself in the OpenAPI document. */
export const operationsPaths: ZodOpenApiPathsObject = {
  '/livez': {
    get: {
      operationId: 'getLiveness',
      tags,
      summary: 'Whether the process runs',
      security: open,
      responses: { '200': jsonAnswer('It does.', z.object({ status: z.literal('ok') })) },
    },
  },
  '/readyz': {
    get: {
      operationId: 'getReadiness',
      tags,
      summary: 'Whether jobs are accepted and moving',
      security: open,
      responses: {
        '200': jsonAnswer('Jobs are accepted; `degraded` says what is wrong all the same.', readinessSchema),
        '503': jsonAnswer('Nothing is accepted.', readinessSchema, { 'Retry-After': 'Seconds to wait.' }),
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'getMetrics',
      tags,
      summary: 'Metrics for Prometheus',
      security: open,
      responses: {
        '200': {
          description: 'Text exposition format.',
          content: { 'text/plain': { schema: { type: 'string' } } },
        },
      },
    },
  },
  '/internal/scaling': {
    get: {
      operationId: 'getScaling',
      tags,
      summary: 'How many workers there are and could be used',
      description: 'Needs a key with the scope `admin`.',
      responses: { '200': jsonAnswer('By pool.', scalingSchema), ...keyedProblems() },
    },
  },
  '/openapi.json': {
    get: {
      operationId: 'getOpenApi',
      tags,
      summary: 'This document',
      security: open,
      responses: {
        '200': {
          description: 'OpenAPI 3.1.',
          content: { 'application/json': { schema: { type: 'object' } } },
        },
      },
    },
  },
  '/docs': {
    get: {
      operationId: 'getDocs',
      tags,
      summary: 'This document as a page',
      security: open,
      responses: {
        '200': { description: 'A page.', content: { 'text/html': { schema: { type: 'string' } } } },
      },
    },
  },
  '/docs/{file}': {
    get: {
      operationId: 'getDocsFile',
      tags,
      summary: 'A script, style or picture of the page',
      security: open,
      requestParams: { path: z.object({ file: z.string() }) },
      responses: { '200': { description: 'The file.' } },
    },
  },
};
