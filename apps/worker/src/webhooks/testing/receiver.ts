import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A webhook as it arrived. */
export interface Arrival {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** How a test wants an arrival to be answered. */
export type Answer = (response: ServerResponse, arrival: Arrival) => void;

/** A real HTTP server that notes every connection and every request. */
export interface Receiver {
  url: string;
  /** `127.0.0.1:port`, for the list of allowed hosts. */
  host: string;
  port: number;
  arrivals: Arrival[];
  connections: () => number;
  answerWith: (answer: Answer) => void;
  /** Resolves with the next arrival, before it is answered. */
  nextArrival: () => Promise<Arrival>;
  close: () => Promise<void>;
}

export async function startReceiver(address = '127.0.0.1'): Promise<Receiver> {
  let connections = 0;
  let answer: Answer = (response) => response.writeHead(204).end();
  const waiting: ((arrival: Arrival) => void)[] = [];
  const arrivals: Arrival[] = [];
  const server = createServer((request, response) => {
    void read(request).then((arrival) => {
      arrivals.push(arrival);
      for (const resolve of waiting.splice(0)) resolve(arrival);
      answer(response, arrival);
    });
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return {
    url: `http://${host}/hooks?token=s3cret`,
    host,
    port,
    arrivals,
    connections: () => connections,
    answerWith: (next) => (answer = next),
    nextArrival: () => new Promise((resolve) => waiting.push(resolve)),
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function read(request: IncomingMessage): Promise<Arrival> {
  let body = '';
  request.setEncoding('utf8');
  for await (const chunk of request) body += chunk as string;
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    ),
    body,
  };
}
