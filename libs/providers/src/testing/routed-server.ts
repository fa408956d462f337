import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that has arrived whole. */
export interface RoutedRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What a route answers: JSON with status 200, or whatever it does with the response itself (then it returns undefined). */
type Route = (request: RoutedRequest, response: ServerResponse) => unknown;

/** A vendor of several addresses: `GET /v1/files/f1` to what is answered there. What is not named is a 404. */
export class RoutedServer {
  readonly seen: RoutedRequest[] = [];
  routes: Record<string, Route> = {};
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** `METHOD /path`, in the order of arrival. */
  get asked(): string[] {
    return this.seen.map(({ method, path }) => `${method} ${path}`);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      // The client gave up: what arrived is no request.
      return;
    }
    const seen: RoutedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks).toString('utf8'),
    };
    this.seen.push(seen);
    const path = seen.path.split('?')[0];
    const route = this.routes[`${seen.method} ${seen.path}`] ?? this.routes[`${seen.method} ${path}`];
    if (!route) return refuse(response, 404, { message: 'no such thing', type: 'not_found_error' });
    const answer = route(seen, response);
    if (answer === undefined) return;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }
}

/** Answers an error in the shape that both vendors' SDKs read. */
export function refuse(response: ServerResponse, status: number, error: Record<string, unknown>): void {
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'x-request-id': 'req_no',
      'request-id': 'req_no',
    })
    .end(JSON.stringify({ type: 'error', error }));
}

/** Sends lines in small uneven pieces, so that lines and characters are cut anywhere. */
export async function sendInPieces(response: ServerResponse, text: string): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-jsonl' });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 97) {
    response.write(bytes.subarray(at, at + 97));
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}
