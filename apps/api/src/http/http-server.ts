import { createServer } from 'node:http';
import type { RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '@millrace/contracts';

export interface HttpServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** How long requests may go on after `stop`. */
  graceMs: number;
  handle: RequestListener;
  onListening: (url: string) => void;
  /** Aborted when the server stops: long polls answer with what there is, event streams end. */
  stopping: AbortController;
}

/** Times to receive a request: a client that sends slower than this holds a connection for nothing. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
/** Longer than the idle time of common load balancers (60 s), so that it is they who close. */
const KEEP_ALIVE_MS = 72_000;

/**
 * The listening socket: new → listening → stopping → stopped. Stopping takes no more connections, tells what
 * waits to answer now, waits for the rest up to `graceMs`, and then cuts it.
 */
export function createHttpServer(options: HttpServerOptions): Service {
  const open = new Set<ServerResponse>();
  let server: Server | null = null;

  return {
    name: 'http server',
    async start() {
      const created = createServer(
        {
          headersTimeout: HEADERS_MS,
          requestTimeout: REQUEST_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
          connectionsCheckingInterval: 2_000,
          maxHeaderSize: 16_384,
        },
        (request, response) => {
          open.add(response);
          response.once('close', () => open.delete(response));
          if (options.stopping.signal.aborted) response.setHeader('Connection', 'close');
          options.handle(request, response);
        },
      );
      await new Promise<void>((resolve, reject) => {
        created.once('error', reject);
        created.listen(options.port, options.host, 1_024, resolve);
      });
      server = created;
      options.onListening(urlOf(created, options.host));
    },
    async stop() {
      const closing = server;
      server = null;
      if (!closing) return;
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      options.stopping.abort();
      for (const response of open) if (!response.headersSent) response.setHeader('Connection', 'close');
      closing.closeIdleConnections();
      const timer = setTimeout(() => closing.closeAllConnections(), options.graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
