import { terminalJobStatuses, jobStatuses, lifecycleEventTypes } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { createOpenApiDocument } from '../../apps/api/src/docs/openapi-document.ts';
import { codeTexts, readDocument, sectionOf } from './read-markdown.ts';

const document = readDocument('docs/api.md');

test('docs/api.md lists exactly the routes of the OpenAPI document', () => {
  const documented = [...document.matchAll(/^\| *(GET|POST|PATCH|DELETE) *\| *`([^`]+)` *\|/gm)].map(
    ([, method = '', path = '']) => `${method} ${path}`,
  );
  const paths = createOpenApiDocument('0').paths ?? {};
  const served = Object.entries(paths).flatMap(([path, item]) =>
    ['get', 'post', 'patch', 'delete'].flatMap((method) =>
      method in item ? [`${method.toUpperCase()} ${path}`] : [],
    ),
  );
  expect(documented.sort()).toEqual(served.sort());
});

test('docs/api.md explains every status of a job and every event', () => {
  const statuses = codeTexts(sectionOf(document, '### The job object'));
  expect(jobStatuses.filter((status) => !statuses.has(status))).toEqual([]);
  const events = codeTexts(sectionOf(document, '## Events'));
  expect(lifecycleEventTypes.filter((type) => !events.has(type))).toEqual([]);
  expect(terminalJobStatuses).toHaveLength(4);
});
