import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { Service } from '@millrace/contracts';
import type { Metrics } from './metrics.ts';

export interface OperationsServerOptions {
  host: string;
  /** 0 takes a free port; null serves nothing. */
  port: number | null;
  metrics: Metrics;
  /** What is wrong, or an empty list. */
  problems: () => Promise<string[]>;
  onListening?: (url: string) => void;
}

/** `/livez`, `/readyz` and `/metrics` for a process that serves nothing else. */
export function createOperationsServer(options: OperationsServerOptions): Service {
  let server: Server | null = null;
  return {
    name: 'operations server',
    async start() {
      const { port } = options;
      if (port === null) return;
      const listening = createServer((request, response) => {
        void answer(options, request.url ?? '/').then(({ status, type, body }) => {
          response.writeHead(status, { 'content-type': type }).end(body);
        });
      });
      await new Promise<void>((resolve, reject) => {
        listening.once('error', reject);
        listening.listen(port, options.host, resolve);
      });
      server = listening;
      const address = listening.address();
      if (address !== null && typeof address === 'object')
        options.onListening?.(`http://${options.host}:${address.port}`);
    },
    async stop() {
      const closing = server;
      server = null;
      if (!closing) return;
      closing.closeAllConnections();
      await new Promise<void>((resolve) => closing.close(() => resolve()));
    },
  };
}

async function answer(
  options: OperationsServerOptions,
  url: string,
): Promise<{ status: number; type: string; body: string }> {
  const path = url.split('?')[0];
  if (path === '/livez') return { status: 200, type: 'application/json', body: '{"status":"ok"}' };
  if (path === '/readyz') {
    const problems = await options.problems().catch((error: unknown) => [String(error)]);
    const body = JSON.stringify({ status: problems.length === 0 ? 'ok' : 'unavailable', problems });
    return { status: problems.length === 0 ? 200 : 503, type: 'application/json', body };
  }
  if (path === '/metrics') {
    const { registry } = options.metrics;
    return { status: 200, type: registry.contentType, body: await registry.metrics() };
  }
  return { status: 404, type: 'text/plain', body: 'not found\n' };
}
