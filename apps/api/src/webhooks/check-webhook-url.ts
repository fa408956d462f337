import { findWebhookUrlFault, ProblemError } from '@millrace/contracts';

/**
 * Refuses an address that webhooks may not be sent to with `webhook_url_refused`. `path` is where the request has it, such
 * as `webhook.url`; `listedHosts` are those that the deployment allows to be private (MILLRACE_ALLOW_PRIVATE_WEBHOOKS).
 */
export function checkWebhookUrl(url: string, listedHosts: readonly string[], path = 'url'): void {
  const fault = findWebhookUrlFault(url, listedHosts);
  if (fault === null) return;
  throw new ProblemError('webhook_url_refused', `The webhook address is refused: ${fault}.`, {
    errors: [{ path, message: fault }],
  });
}
