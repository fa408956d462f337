import { findWebhookUrlFault, isListedHost } from '@millrace/contracts';
import { notSent, sendRequest } from './send-request.ts';
import type { OutgoingRequest, WebhookAnswer } from './send-request.ts';

export interface WebhookRequest extends Omit<OutgoingRequest, 'url' | 'publicOnly'> {
  url: string;
  /** Hosts that may be private, plain http and on any port. */
  listedHosts: readonly string[];
}

/**
 * Posts one webhook. The address is checked as at the intake, because the rules or the list may have changed since; unless
 * its host is listed, only public addresses are connected to. Never throws: whatever goes wrong is an answer too.
 */
export async function postWebhook(request: WebhookRequest): Promise<WebhookAnswer> {
  const { url: text, listedHosts, ...outgoing } = request;
  const fault = findWebhookUrlFault(text, listedHosts);
  if (fault !== null) return notSent(fault);
  const url = new URL(text);
  return sendRequest({ ...outgoing, url, publicOnly: !isListedHost(url, listedHosts) });
}
