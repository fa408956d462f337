/**
 * The API's event streams of `sse-latency.ts`, in a process of its own, and beside them the hand-wired relay. Is told the
 * servers by its arguments, and answers any message with the CPU time in µs that it has used.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createStreamEvents } from '@millrace/api/src/results/stream-events.ts';
import { connectRedis, keyNames } from '@millrace/redis';
import { createLogger, createMetrics } from '@millrace/telemetry';
import { createLiveFeed } from '@millrace/transport';
import express from 'express';
import type { Response } from 'express';
import { benchTenant, openBenchLedger } from './bench-ledger.ts';

process.on('disconnect', () => process.exit());
const [databaseUrl = '', redisUrl = ''] = process.argv.slice(2);
const onError = (error: unknown): void => console.error(error);
const connect = (role: 'subscriber' | 'producer', name: string) =>
  connectRedis({ url: redisUrl, role, name, onError });
const feed = createLiveFeed({
  subscriber: connect('subscriber', 'feed'),
  reader: connect('producer', 'reader'),
  names: keyNames('bench'),
  onError,
});
await feed.start();
const streamEvents = createStreamEvents({
  database: openBenchLedger(databaseUrl),
  feed,
  log: createLogger({ app: 'api', level: 'warn' }),
  metrics: createMetrics('api'),
});
const app = express();
app.get('/v1/jobs/:id/events', (request, response) => {
  response.locals['auth'] = { tenantId: benchTenant };
  return streamEvents(request, response);
});
const relaySubscriber = connect('subscriber', 'relay');
const relayed = new Map<string, Response>();
relaySubscriber.on('message', (channel, text) => {
  if (text === 'end') relayed.get(channel)?.end();
  else relayed.get(channel)?.write(`data: ${text}\n\n`);
});
app.get('/relay/:stream', async (request, response) => {
  const channel = `relay:${request.params.stream}`;
  relayed.set(channel, response);
  await relaySubscriber.subscribe(channel);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(': ready\n\n');
});
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
const server = createServer(app).listen(0, '127.0.0.1', () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
