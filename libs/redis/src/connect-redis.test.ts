import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createTestRedis, waitFor } from '@millrace/test-support';
import { expect, it } from 'vitest';
import { closeRedis, connectRedis } from './connect-redis.ts';
import type { RedisRole } from './connect-redis.ts';

/** A way to Redis on which the connections that exist can fall silent, as behind a gateway that has forgotten them. */
async function startForgetfulGateway() {
  const { url } = createTestRedis();
  const target = Number(new URL(url).port);
  let generation = 0;
  let connections = 0;
  const server = createServer((near) => {
    connections += 1;
    const own = generation;
    const far = connect(target, '127.0.0.1');
    near.on('data', (piece) => own === generation && far.write(piece));
    far.on('data', (piece) => own === generation && near.write(piece));
    for (const socket of [near, far]) {
      socket.on('error', () => undefined);
      socket.on('close', () => [near, far].forEach((each) => each.destroy()));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forget: () => (generation += 1),
    connections: () => connections,
    stop: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

it.each<RedisRole>(['producer', 'subscriber'])(
  'gives up a connection of the role %s on which nothing is answered any more',
  async (role) => {
    const gateway = await startForgetfulGateway();
    const redis = connectRedis({ url: gateway.url, role, name: 'test', onError: () => undefined });
    try {
      await waitFor(() => redis.status === 'ready', { what: 'the connection' });
      if (role === 'subscriber') await redis.subscribe('channel');
      gateway.forget();
      if (role === 'producer') await expect(redis.ping()).rejects.toThrow();
      await waitFor(() => gateway.connections() > 1 && redis.status === 'ready', {
        timeoutMs: 19_000,
        what: 'a new connection',
      });
      expect(await redis.ping()).toMatch(/PONG/);
    } finally {
      await closeRedis(redis);
      await gateway.stop();
    }
  },
  30_000,
);

it('reads what Redis has answered before it gives up a command, however long this process stood still', async () => {
  const { url } = createTestRedis();
  const redis = connectRedis({ url, role: 'producer', name: 'test', onError: () => undefined });
  try {
    await waitFor(() => redis.status === 'ready', { what: 'the connection' });
    const answers = Promise.all([redis.ping(), redis.multi().ping().exec(), redis.pipeline().ping().exec()]);
    // What comes next after this are the timers, and only then the sockets.
    await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 1_500;
    while (performance.now() < until);
    expect(await answers).toEqual([expect.stringMatching(/PONG/), [[null, 'PONG']], [[null, 'PONG']]]);
  } finally {
    await closeRedis(redis);
  }
});
