import { afterAll, beforeAll, expect, test } from 'vitest';
import express from 'express';
import { listRoutes } from '../http/list-routes.ts';
import { BOARD_PATH } from '../board/board-routes.ts';
import { startTestApi } from '../testing/start-test-api.ts';
import type { TestApi } from '../testing/start-test-api.ts';

interface Document {
  openapi: string;
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, unknown> }> }>>;
  components: { schemas: Record<string, unknown> };
}

let api: TestApi;
let document: Document;
beforeAll(async () => {
  api = await startTestApi();
  document = (await api.send<Document>(null, 'GET', '/openapi.json')).body;
});
afterAll(() => api.stop());

test('the document describes exactly the routes that the app has', () => {
  const routes = listRoutes(api.app)
    .filter((route) => route.path !== BOARD_PATH)
    .map((route) => `${route.method} ${route.path.replace(/:(\w+)/g, '{$1}')}`);
  const described = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  );
  expect(document.openapi).toBe('3.1.0');
  expect(described.sort()).toEqual([...new Set(routes)].sort());
});

test('a route that is not described would be noticed', () => {
  const app = express();
  app.use(express.Router().get('/v1/secret/:id', () => undefined));
  expect(listRoutes(app)).toEqual([{ method: 'get', path: '/v1/secret/:id' }]);
});

test('every operation behind a key describes its errors as problem documents, under OpenAI’s routes as OpenAI’s', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    if (!path.startsWith('/v1/')) continue;
    const isOpenAi = /^\/v1\/(files|batches)(\/|$)/.test(path);
    for (const [method, { responses }] of Object.entries(operations)) {
      for (const status of ['401', '403', '429', '500', '503']) {
        const content = responses[status]?.content ?? {};
        expect([method, path, status, Object.keys(content)]).toEqual([
          method,
          path,
          status,
          [isOpenAi ? 'application/json' : 'application/problem+json'],
        ]);
      }
    }
  }
  const events = document.paths['/v1/jobs/{id}/events']!['get']!.responses['200']!;
  expect(Object.keys(events.content ?? {})).toEqual(['text/event-stream']);
});

test('every reference in the document leads somewhere', () => {
  const references = new Set(JSON.stringify(document).match(/#\/components\/schemas\/[^"]+/g));
  expect(references.size).toBeGreaterThan(10);
  for (const reference of references) {
    expect(Object.keys(document.components.schemas)).toContain(reference.split('/').at(-1));
  }
});

test('the page loads nothing from another host and runs nothing inline', async () => {
  const page = await api.send<string>(null, 'GET', '/docs');
  expect(page.status).toBe(200);
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none';script-src 'self'");
  const loaded = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]!);
  expect(loaded).toHaveLength(5);
  for (const address of loaded) {
    expect(address).toMatch(/^\/docs\//);
    expect((await api.send<string>(null, 'GET', address)).status).toBe(200);
  }
  expect(page.text).not.toMatch(/<script>|<style>|onload=/);
});
