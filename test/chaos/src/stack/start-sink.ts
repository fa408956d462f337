import { fork } from 'node:child_process';
import { join } from 'node:path';

/** The receiver of webhooks. */
export interface Sink {
  readonly url: string;
  /** Makes an endpoint of the tenant at this path of the sink and tells the sink its secret; its id. */
  register(stack: { apiUrl: string; bootstrapKey: string }, path: string): Promise<string>;
  /** Lets the sink take webhooks at a path for which there is no endpoint; the path's URL. */
  open(path: string, secret: string): string;
  stop(): void;
}

const entry = join(import.meta.dirname, '../observer/sink-process.ts');

export async function startSink(journal: string): Promise<Sink> {
  const child = fork(entry, [journal], { execArgv: [] });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { url: string }) => resolve(message.url));
    child.once('exit', (code) => reject(new Error(`the sink ended with ${code}`)));
  });
  return {
    url,
    async register(stack, path) {
      const response = await fetch(`${stack.apiUrl}/v1/webhook_endpoints`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stack.bootstrapKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ url: `${url}${path}` }),
      });
      const endpoint = (await response.json()) as { id: string; secret: string };
      if (response.status !== 201)
        throw new Error(`no endpoint: ${response.status} ${JSON.stringify(endpoint)}`);
      child.send({ path, secret: endpoint.secret });
      return endpoint.id;
    },
    open(path, secret) {
      child.send({ path, secret });
      return `${url}${path}`;
    },
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}
