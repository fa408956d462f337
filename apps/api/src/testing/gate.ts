import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A way to a server that a test can close: as if the server were down, or as if it stood still. */
export interface Gate {
  port: number;
  /** `open` forwards; `closed` cuts what is there and refuses more; `frozen` takes connections and never answers. */
  set(state: 'open' | 'closed' | 'frozen'): Promise<void>;
  stop(): Promise<void>;
}

/** Opens a gate on a free port of 127.0.0.1 to a server. */
export async function openGate(target: { host: string; port: number }): Promise<Gate> {
  const sockets = new Set<Socket>();
  let state: 'open' | 'closed' | 'frozen' = 'open';
  const server = createServer((client) => {
    track(client);
    if (state === 'closed') {
      client.destroy();
      return;
    }
    const upstream = connect(target.port, target.host);
    track(upstream);
    client.on('data', (data) => state === 'open' && upstream.write(data));
    upstream.on('data', (data) => state === 'open' && client.write(data));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => sockets.delete(socket));
  }
  const listen = (port: number): Promise<void> =>
    new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async set(next) {
      const before = state;
      state = next;
      if (next === 'closed' && before !== 'closed') await close();
      if (next !== 'closed' && before === 'closed') await listen(port);
      // What was lost while it stood still cannot be made up for.
      if (next === 'open' && before === 'frozen') for (const socket of sockets) socket.destroy();
    },
    stop: () => (state === 'closed' ? Promise.resolve() : close()),
  };
}
