import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ProblemError } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import express from 'express';
import type { NextFunction, Request, Response } from 'express';
import { expect, it } from 'vitest';
import { jsonBody } from './json-body.ts';

async function startServer(mostBytesUnderWay: number) {
  const app = express();
  let begun = 0;
  app.use((_request, _response, next) => {
    begun += 1;
    next();
  });
  app.use(jsonBody({ maxBytes: 1_000, mostBytesUnderWay }));
  app.use((request: Request, response: Response) => void response.json(request.body));
  app.use((error: ProblemError, _request: Request, response: Response, _next: NextFunction) => {
    response.status(error.status).json({ code: error.code, retryAfterMs: error.retryAfterMs });
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const headers = { 'content-type': 'application/json' };
  return {
    begun: () => begun,
    post: (text: string) => fetch(url, { method: 'POST', headers, body: text }),
    /** Sends all but the last byte. */
    hold: (text: string, length?: number) => {
      const held = httpRequest(url, {
        method: 'POST',
        headers: length === undefined ? headers : { ...headers, 'content-length': length },
      });
      held.on('error', () => undefined);
      held.write(text);
      return held;
    },
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

const body = JSON.stringify('x'.repeat(498));

it.each([
  ['announced', body.length],
  ['sent in chunks', undefined],
])(
  'takes no more bodies than there is room for while others wait for their end, %s',
  async (_how, length) => {
    const server = await startServer(1_200);
    try {
      const held = [server.hold(body.slice(0, -1), length), server.hold(body.slice(0, -1), length)];
      await waitFor(() => server.begun() === 2, { what: 'two bodies under way' });
      await waitFor(async () => (await server.post(body)).status === 429, { what: 'a refusal' });
      const refused = await server.post(body);
      expect([refused.status, await refused.json()]).toEqual([
        429,
        { code: 'rate_limited', retryAfterMs: 1_000 },
      ]);
      expect((await server.post('"small"')).status).toBe(200);

      held[0]!.destroy();
      await waitFor(async () => (await server.post(body)).status === 200, { what: 'room again' });
      held[1]!.end('"');
      const [answer] = (await once(held[1]!, 'response')) as [{ statusCode: number; resume(): void }];
      answer.resume();
      expect(answer.statusCode).toBe(200);
    } finally {
      server.stop();
    }
  },
);
