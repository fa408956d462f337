import helmet from 'helmet';
import type { RequestHandler } from 'express';

/** For answers that are data: nothing may be loaded, framed or run. */
export function dataHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    crossOriginEmbedderPolicy: false,
    xFrameOptions: { action: 'deny' },
    // Whether this name is served by https only is known to the proxy in front, which sets the header itself.
    strictTransportSecurity: false,
  });
}

/**
 * For pages of our own (the API page, the board): their scripts and styles, nothing inline to run, nothing from another host. Inline
 * styles are what their component libraries set; `data:` images are their icons.
 */
export function pageHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        baseUri: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
    crossOriginEmbedderPolicy: false,
    xFrameOptions: { action: 'deny' },
    strictTransportSecurity: false,
  });
}
