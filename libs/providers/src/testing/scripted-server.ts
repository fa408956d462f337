import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request as it arrived. */
export interface SeenRequest {
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  /** Settles when the connection under this request is gone. */
  closed: Promise<void>;
}

/** How the server answers; set before the call, may be changed between calls. */
export type Script = (response: ServerResponse, socket: Socket, request: SeenRequest) => void | Promise<void>;

/** A vendor that says exactly what the test tells it to, and remembers what it was asked. */
export class ScriptedServer {
  readonly seen: SeenRequest[] = [];
  /** Connections accepted so far. */
  connections = 0;
  script: Script = (response) => void response.writeHead(500).end();
  readonly #server: Server;
  #waiting: { count: number; resolve: () => void }[] = [];

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      const closed = new Promise<void>((resolve) => response.once('close', resolve));
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const seen: SeenRequest = {
          path: request.url ?? '',
          headers: request.headers,
          body: JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>,
          closed,
        };
        this.seen.push(seen);
        this.#waiting = this.#waiting.filter((each) => {
          if (this.seen.length < each.count) return true;
          each.resolve();
          return false;
        });
        void this.script(response, request.socket, seen);
      });
    });
    this.#server.on('connection', () => (this.connections += 1));
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

  /** Settles when that many requests have arrived in all. */
  arrived(count: number): Promise<void> {
    if (this.seen.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }
}

/** The raw bytes of `fixtures/<name>.sse`. */
export function fixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/${name}.sse`, import.meta.url), 'utf8');
}

const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8' };

/** Streams a text and closes as a healthy vendor does. */
export function streams(text: string, headers: Record<string, string> = {}): Script {
  return (response) => void response.writeHead(200, { ...EVENT_STREAM, ...headers }).end(text);
}

/** Streams a text one byte at a time in uneven writes, so that characters and lines are cut anywhere. */
export function streamsInPieces(text: string): Script {
  return async (response) => {
    response.writeHead(200, EVENT_STREAM);
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += 7) {
      response.write(bytes.subarray(at, at + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  };
}

/** Streams a text and then breaks the connection. */
export function streamsThenResets(text: string): Script {
  return (response, socket) => {
    response.writeHead(200, EVENT_STREAM);
    response.write(text, () => socket.resetAndDestroy());
  };
}

/** Streams a text and then says nothing more, with the connection open. */
export function streamsThenHangs(text: string): Script {
  return (response) => {
    response.writeHead(200, EVENT_STREAM);
    response.write(text);
  };
}

/** A whole JSON answer, as vendors send their errors. */
export function answers(status: number, body: unknown, headers: Record<string, string> = {}): Script {
  return (response) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
  };
}
