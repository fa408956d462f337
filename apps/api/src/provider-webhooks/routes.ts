import { isUtf8 } from 'node:buffer';
import { ProblemError } from '@millrace/contracts';
import { hastenBatch } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { verifyProviderWebhook } from '@millrace/providers';
import { Router, raw } from 'express';
import type { NextFunction, Request, Response } from 'express';
import { contextOf } from '../http/request-context.ts';

/** What the route needs. */
export interface ProviderWebhookOptions {
  database: Database;
  /** Providers by name; those without a secret have no such address. */
  providers: ReadonlyMap<string, { webhookSecret: string | null }>;
}

const MAX_BYTES = 64 * 1024;
/** The events that say that a batch has ended. */
const ENDINGS = ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'];

/**
 * `/provider_webhooks/{provider}`, for the providers themselves: they have no key of ours and sign what they send. An event is
 * a hint to look at its batch now, and no more than that: one that is sent again, or about a batch that is not ours, changes
 * nothing, and what an event says of its batch is never believed.
 */
export function providerWebhookRoutes({ database, providers }: ProviderWebhookOptions): Router {
  const router = Router();
  // The signature is over the bytes as they came.
  const readBytes = raw({ limit: MAX_BYTES, type: () => true, inflate: false });

  router.post(
    '/provider_webhooks/:provider',
    (request: Request, response: Response, next: NextFunction) => {
      // Before the body is read: nobody shall send one to an address that does not exist.
      secretOf(providers, request);
      readBytes(request, response, (error?: unknown) =>
        next(error === undefined ? undefined : translate(error)),
      );
    },
    async (request: Request<{ provider: string }>, response: Response) => {
      const body: unknown = request.body;
      const signed = Buffer.isBuffer(body) && isUtf8(body) ? body.toString('utf8') : '';
      const event = await verifyProviderWebhook(signed, request.headers, secretOf(providers, request));
      if (!event) {
        const detail = 'The signature is not that of the provider’s secret, or is older than five minutes.';
        throw new ProblemError('webhook_signature_invalid', detail);
      }
      if (event.batchId !== null && ENDINGS.includes(event.type)) {
        const fields = contextOf(response).event;
        fields.provider_batch = event.batchId;
        const batch = await hastenBatch(database, request.params.provider, event.batchId);
        if (batch !== null) fields.batch = batch;
      }
      response.status(204).end();
    },
  );
  return router;
}

function secretOf(providers: ProviderWebhookOptions['providers'], request: Request): string {
  const name = String(request.params['provider']);
  const secret = providers.get(name)?.webhookSecret;
  if (!secret) throw new ProblemError('not_found', 'No webhooks are taken from a provider of this name.');
  return secret;
}

function translate(error: unknown): unknown {
  const { type, status } = error as { type?: string; status?: number };
  if (type === 'entity.too.large') {
    return new ProblemError('body_too_large', `The body may have ${MAX_BYTES} bytes.`);
  }
  if (type === 'encoding.unsupported') {
    return new ProblemError('unsupported_media_type', 'The body must not be compressed.');
  }
  const isTheirs = status !== undefined && status >= 400 && status < 500;
  return isTheirs ? new ProblemError('invalid_json', 'The body could not be read.') : error;
}
