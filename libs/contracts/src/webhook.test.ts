import { expect, it } from 'vitest';
import { jobRequestSchema } from './job.ts';
import { webhookEndpointPatchSchema, webhookEndpointRequestSchema } from './webhook.ts';

const url = 'https://example.com/hook';
const job = { type: 'call', model: 'openai/any', prompt: 'p' };

it.each([
  ['a job', (events: string[]) => jobRequestSchema.safeParse({ ...job, webhook: { url, events } })],
  ['a new endpoint', (events: string[]) => webhookEndpointRequestSchema.safeParse({ url, events })],
  ['a changed endpoint', (events: string[]) => webhookEndpointPatchSchema.safeParse({ events })],
])('more events than there are make one issue, and none of them is looked at: %s', (_what, parse) => {
  const issues = parse(Array.from({ length: 10_000 }, () => 'x')).error?.issues;
  expect(issues?.map(({ code, path }) => [code, path.at(-1)])).toEqual([['too_big', 'events']]);
  expect(parse(['job.completed', 'job.failed']).success).toBe(true);
});
