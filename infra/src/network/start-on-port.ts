import { createServer } from 'node:net';

/** A port was asked for that another process has. The message says how to go on. */
export class PortInUseError extends Error {
  override name = 'PortInUseError';

  constructor(what: string, host: string, port: number, remedy: string, options?: ErrorOptions) {
    super(`port ${port} of ${host}, wanted for ${what}, is in use by another process. ${remedy}`, options);
  }
}

const attemptsToFindPort = 5;

/**
 * Calls `start` with the port given, or else with a free one, and again with another if that one is taken in
 * between (`start` then rejects with PortInUseError). For servers that cannot choose a port themselves.
 */
export async function startOnPort<Server>(
  port: number | undefined,
  start: (port: number) => Promise<Server>,
): Promise<{ server: Server; port: number }> {
  if (port !== undefined) return { server: await start(port), port };
  for (let attempt = 1; ; attempt += 1) {
    const freePort = await findFreePort();
    try {
      return { server: await start(freePort), port: freePort };
    } catch (error) {
      if (!(error instanceof PortInUseError) || attempt === attemptsToFindPort) throw error;
    }
  }
}

/** A TCP port of 127.0.0.1 that was free a moment ago. */
async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}
