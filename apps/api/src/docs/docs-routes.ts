import { Router } from 'express';

/** `/openapi.json` and the page that shows it. */
export function docsRoutes(): Router {
  return Router();
}
