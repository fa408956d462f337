import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Service } from '@millrace/contracts';

export interface HttpServerOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** How long requests may go on after `stop`. */
  graceMs: number;
  handle: RequestListener;
  /** Whether a request may take long to arrive. */
  isUpload: (request: IncomingMessage) => boolean;
  onListening: (url: string) => void;
  /** Aborted when the server stops: long polls answer with what there is, event streams end. */
  stopping: AbortController;
}

/** Times to receive a request: a client that sends slower than this holds a connection for nothing. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
/** A file of 200 MiB at 2 Mbit/s. */
const UPLOAD_MS = 15 * 60_000;
const LOOK_MS = 2_000;
/** Longer than the idle time of common load balancers (60 s), so that it is they who close. */
const KEEP_ALIVE_MS = 72_000;

/**
 * The listening socket: new → listening → stopping → stopped. Stopping takes no more connections, tells what
 * waits to answer now, waits for the rest up to `graceMs`, and then cuts it.
 */
export function createHttpServer(options: HttpServerOptions): Service {
  const open = new Map<ServerResponse, { request: IncomingMessage; slowSince: number | null }>();
  let server: Server | null = null;
  let looking: NodeJS.Timeout | undefined;

  /** The server's own limit is that of uploads; whoever sends something else gets less time. */
  function cutSlow(): void {
    const now = performance.now();
    for (const { request, slowSince } of open.values()) {
      if (slowSince === null || request.complete || now - slowSince < REQUEST_MS) continue;
      request.socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
      request.socket.destroySoon();
    }
  }

  return {
    name: 'http server',
    async start() {
      const created = createServer(
        {
          headersTimeout: HEADERS_MS,
          requestTimeout: UPLOAD_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
          connectionsCheckingInterval: LOOK_MS,
          maxHeaderSize: 16_384,
        },
        (request, response) => {
          const slowSince = options.isUpload(request) ? null : performance.now();
          open.set(response, { request, slowSince });
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
      looking = setInterval(cutSlow, LOOK_MS).unref();
      options.onListening(urlOf(created, options.host));
    },
    async stop() {
      const closing = server;
      server = null;
      if (!closing) return;
      clearInterval(looking);
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      options.stopping.abort();
      for (const response of open.keys())
        if (!response.headersSent) response.setHeader('Connection', 'close');
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
