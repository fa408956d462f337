import { PortInUseError } from '../network/start-on-port.ts';
import { readLines } from './read-lines.ts';
import type { GuardedProcess } from './spawn-guarded.ts';

/**
 * Waits until a server says that it is ready, and hands every line that it ever prints to `log`. Rejects when it
 * ends before: with PortInUseError if that was the reason, else with its last lines.
 */
export async function waitUntilReady(
  server: GuardedProcess,
  request: { name: string; port: number; readyText: string; log: (line: string) => void },
): Promise<void> {
  const lines: string[] = [];
  let ready = false;
  await new Promise<void>((resolve, reject) => {
    const take = (line: string): void => {
      request.log(line);
      if (ready) return;
      lines.push(line);
      if (!line.includes(request.readyText)) return;
      ready = true;
      resolve();
    };
    readLines(server.stderr, take);
    readLines(server.stdout, take);
    void server.exited.then(({ code, signal }) => {
      const lastLines = lines.slice(-15).join('\n');
      const failure = new Error(
        `${request.name} did not start (${signal ?? `exit code ${code}`}):\n${lastLines}`,
      );
      const isPortTaken = lastLines.includes('Address already in use');
      reject(
        isPortTaken
          ? new PortInUseError(request.name, '127.0.0.1', request.port, 'Choose another port.', {
              cause: failure,
            })
          : failure,
      );
    });
  });
}
