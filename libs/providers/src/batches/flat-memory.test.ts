import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProviderKind } from '../provider.ts';
import { aProgress, aSubmission, endedBatch } from '../testing/batch-submission.ts';
import { createBatchPort } from './create-batch-port.ts';

const MEGABYTE = 1024 * 1024;
const line = JSON.stringify({
  custom_id: 'bat_01-1',
  result: { type: 'expired' },
  padding: 'x'.repeat(4_000),
});
const lineCount = Math.ceil((64 * MEGABYTE) / line.length);
/** Sockets of the loopback interface hold some megabytes on either side. */
const inFlight = 24 * MEGABYTE;

let server: Server;
let serve: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((request, response) => serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function portOf(kind: ProviderKind) {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const baseUrl = kind === 'openai' ? `${url}/v1` : url;
  return {
    url,
    port: createBatchPort({ name: kind, kind, baseUrl, apiKey: 'sk-test', maxConcurrentSockets: 1 })!,
  };
}

/** Bytes in buffers that somebody still holds. */
function keptBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** The count once it has stopped growing. */
async function settled(count: () => number): Promise<number> {
  for (let before = -1; ;) {
    const after = count();
    if (after > 0 && after === before) return after;
    before = after;
    await pause(150);
  }
}

describe.each(['openai', 'anthropic'] as const)('%s', (kind) => {
  test('lines are read no faster than the vendor takes them', async () => {
    let produced = 0;
    async function* lines() {
      for (; produced < lineCount; produced += 1) yield await Promise.resolve(line);
    }
    const controller = new AbortController();
    let takeIt: () => void = () => undefined;
    let taken = 0;
    serve = (request, response) => {
      request.on('end', () => response.writeHead(500).end());
      takeIt = () => request.on('data', (chunk: Buffer) => (taken += chunk.length));
    };
    const submission = aSubmission([], { lines: lines(), signal: controller.signal });
    const submitted = portOf(kind).port.submit(submission, aProgress());
    const refused = expect(submitted).rejects.toThrow();
    expect((await settled(() => produced)) * line.length).toBeLessThan(inFlight);
    takeIt();
    await refused;
    expect(produced).toBe(lineCount);
    expect(taken).toBeGreaterThan(lineCount * line.length);
  });

  test('nothing that was sent is kept', async () => {
    const before = keptBytes();
    let most = before;
    async function* lines() {
      for (let at = 0; at < lineCount; at += 1) {
        if (at % 2_000 === 0) most = Math.max(most, keptBytes());
        yield await Promise.resolve(line);
      }
    }
    serve = (request, response) => {
      request.on('end', () => response.writeHead(500).end());
      request.resume();
    };
    const submission = aSubmission([], { lines: lines() });
    await expect(portOf(kind).port.submit(submission, aProgress())).rejects.toThrow();
    // Sender and receiver share this process; kept whole, the lines alone would be 64 MB.
    expect(most - before).toBeLessThan(32 * MEGABYTE);
  });

  test('results are fetched no faster than they are read', async () => {
    let sent = 0;
    serve = (_request, response) => {
      response.writeHead(200);
      const send = () => {
        while (sent < lineCount) {
          sent += 1;
          if (!response.write(`${line}\n`)) {
            response.once('drain', send);
            return;
          }
        }
        response.end();
      };
      send();
    };
    const { port, url } = portOf(kind);
    const handles: Record<string, string> =
      kind === 'openai' ? { outputFileId: 'out' } : { resultsUrl: `${url}/results` };
    const results = port.results(endedBatch({ handles, counts: null }), new AbortController().signal);
    let read = 0;
    for await (const result of results) {
      expect(result.customId).toBe('bat_01-1');
      read += 1;
      if (read === 1) expect((await settled(() => sent)) * line.length).toBeLessThan(inFlight);
    }
    expect(read).toBe(lineCount);
  });
});
