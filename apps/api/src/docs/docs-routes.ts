import { fileURLToPath } from 'node:url';
import { ProblemError } from '@millrace/contracts';
import { Router } from 'express';
import { createOpenApiDocument } from './openapi-document.ts';
import { pageHtml, pageScript, pageStyle } from './page.ts';

const vendored = (name: string): string => fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`));

const OWN = new Map([
  ['page.css', pageStyle],
  ['page.js', pageScript],
]);

/** The files of Swagger UI that the page uses, by the name that it uses. */
const VENDORED = new Map([
  ['swagger-ui.css', vendored('swagger-ui.css')],
  ['swagger-ui-bundle.js', vendored('swagger-ui-bundle.js')],
  ['favicon.png', vendored('favicon-32x32.png')],
]);

/** `/openapi.json`, and `/docs`: a page that shows it and asks no other host for anything. */
export function docsRoutes(version: string): Router {
  const router = Router();
  const document = JSON.stringify(createOpenApiDocument(version));

  router.get('/openapi.json', (_request, response) => {
    response.type('application/json').send(document);
  });
  router.get('/docs', (_request, response) => {
    response.type('html').send(pageHtml);
  });
  router.get('/docs/:file', (request, response) => {
    const own = OWN.get(request.params.file);
    if (own) {
      response.type(request.params.file).send(own);
      return;
    }
    const file = VENDORED.get(request.params.file);
    if (file === undefined) throw new ProblemError('not_found', 'There is nothing with this address.');
    response.sendFile(file, { maxAge: '1h' });
  });
  return router;
}
