import { setTimeout as delay } from 'node:timers/promises';

/** A server that this library starts: PostgreSQL or Redis. */
interface Server {
  url: string;
  pid: number;
  died: Promise<string>;
  stop(): Promise<void>;
}

/** A server that is started again, on the same port, when it dies. */
interface SupervisedServer<Started extends Server> {
  /** As it was started first; its URL stays valid. */
  readonly first: Started;
  /** The process that runs now. */
  readonly pid: number;
  stop(): Promise<void>;
}

const firstDelayMs = 250;
const longestDelayMs = 10_000;

/** Starts a server and keeps it running until `stop`. Rejects if it does not start the first time. */
export async function superviseServer<Started extends Server>(request: {
  name: string;
  /** Without a port: on any that is free. */
  start: (port?: number) => Promise<Started>;
  onNotice: (notice: string) => void;
}): Promise<SupervisedServer<Started>> {
  const first = await request.start();
  const port = Number(new URL(first.url).port);
  const stopAsked = new AbortController();
  let current = first;

  const keepRunning = async (): Promise<void> => {
    for (;;) {
      const stopped = new Promise<null>((resolve) => {
        stopAsked.signal.addEventListener('abort', () => resolve(null), { once: true });
      });
      const death = await Promise.race([current.died, stopped]);
      if (death === null || stopAsked.signal.aborted) return;
      // Gives the directory back to the next start.
      await current.stop();
      request.onNotice(`${death}; starting it again on port ${port}`);
      const next = await startAgain();
      if (next === null) return;
      current = next;
      request.onNotice(`${request.name} runs again as process ${next.pid}`);
    }
  };

  const startAgain = async (): Promise<Started | null> => {
    for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
      await delay(delayMs, undefined, { signal: stopAsked.signal }).catch(() => undefined);
      if (stopAsked.signal.aborted) return null;
      try {
        return await request.start(port);
      } catch (error) {
        request.onNotice(`${request.name} did not start again: ${String(error)}`);
      }
    }
  };

  const supervision = keepRunning();
  return {
    first,
    get pid() {
      return current.pid;
    },
    stop: async () => {
      stopAsked.abort();
      await supervision;
      await current.stop();
    },
  };
}
