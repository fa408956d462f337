import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A webhook as it came in, unverified. */
export interface ReceivedWebhook {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** A consumer of webhooks that answers as it is told. */
export interface WebhookReceiver {
  url(path: string): string;
  received: readonly ReceivedWebhook[];
  /** The next answers on this path; 204 when there are none. */
  answerWith(path: string, ...statuses: number[]): void;
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. */
export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const received: ReceivedWebhook[] = [];
  const answers = new Map<string, number[]>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '';
      const body = Buffer.concat(chunks).toString('utf8');
      received.push({ path, headers: request.headers as Record<string, string>, body });
      response.writeHead(answers.get(path)?.shift() ?? 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    received,
    answerWith(path, ...statuses) {
      answers.set(path, statuses);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
