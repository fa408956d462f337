import { createServer } from 'node:net';
import { PortInUseError } from './start-on-port.ts';

/** Rejects with PortInUseError if another process has the port. 0 is always free. `remedy` is put at its end. */
export async function requireFreePort(
  host: string,
  port: number,
  what: string,
  remedy: string,
): Promise<void> {
  if (port === 0) return;
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host, exclusive: true }, resolve);
    });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') throw new PortInUseError(what, host, port, remedy, { cause });
    throw new Error(`port ${port} cannot be used for ${what}: ${String(cause)}`, { cause });
  }
  await new Promise((resolve) => server.close(resolve));
}
