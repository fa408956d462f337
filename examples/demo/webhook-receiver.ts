import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

/** A webhook as it came in. */
export interface ReceivedWebhook {
  type: string;
  jobId: string;
  verified: boolean;
}

/** A consumer of webhooks, as a customer of Millrace would write it. */
export interface WebhookReceiver {
  /** `host:port`, for the list of private hosts that webhooks may reach. */
  host: string;
  url: string;
  /** The secret that signatures are checked with; it is known once the endpoint is registered. */
  useSecret(secret: string): void;
  received: readonly ReceivedWebhook[];
  stop(): Promise<void>;
}

/** Listens on a free port of this machine. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  let webhook: Webhook | null = null;

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8');
      const event = JSON.parse(body) as { type: string; data: { id: string } };
      const verified = webhook !== null && isSigned(webhook, body, request.headers as Record<string, string>);
      received.push({ type: event.type, jobId: event.data.id, verified });
      response.writeHead(verified ? 204 : 401).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    url: `http://127.0.0.1:${port}/hooks`,
    useSecret(secret) {
      webhook = new Webhook(secret);
    },
    received,
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function isSigned(webhook: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
