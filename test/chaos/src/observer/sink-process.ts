import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { appendLine } from './jsonl.ts';
import type { SinkEntry } from './journals.ts';

/*
 * The receiver of webhooks as a process of its own. Usage: fork(sink-process.ts, [journal]). It sends its address, takes
 * `{path, secret}` for each endpoint, verifies every signature itself, and journals before it answers. Paths say how it
 * answers: `/ok…` at once, `/flaky…` 500 at the first try of each webhook, `/dead…` always 500.
 */

const [journal = ''] = process.argv.slice(2);
const secrets = new Map<string, string>();
const seen = new Set<string>();

process.on('disconnect', () => process.exit(0));
process.on('message', ({ path, secret }: { path: string; secret: string }) => secrets.set(path, secret));

const server = createServer((request, response) => {
  void take(request)
    .then((entry) => {
      appendLine(journal, entry);
      response.writeHead(entry.answered).end();
    })
    .catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
});

async function take(request: IncomingMessage): Promise<SinkEntry> {
  const body = Buffer.concat(await request.toArray()).toString('utf8');
  const path = request.url ?? '';
  const webhookId = header(request, 'webhook-id');
  const parsed = parse(body);
  const entry = {
    at: new Date().toISOString(),
    path,
    webhookId,
    verified: verify(path, body, request),
    type: parsed?.type ?? null,
    jobId: parsed?.data?.id ?? null,
    jobStatus: parsed?.data?.status ?? null,
  };
  const isFirst = !seen.has(`${path} ${webhookId}`);
  seen.add(`${path} ${webhookId}`);
  const fails = path.startsWith('/dead') || (path.startsWith('/flaky') && isFirst);
  return { ...entry, answered: !entry.verified ? 401 : fails ? 500 : 204 };
}

function verify(path: string, body: string, request: IncomingMessage): boolean {
  const secret = secrets.get(path);
  if (secret === undefined) return false;
  try {
    new Webhook(secret).verify(body, {
      'webhook-id': header(request, 'webhook-id') ?? '',
      'webhook-timestamp': header(request, 'webhook-timestamp') ?? '',
      'webhook-signature': header(request, 'webhook-signature') ?? '',
    });
    return true;
  } catch {
    return false;
  }
}

function header(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
}

function parse(body: string): { type?: string; data?: { id?: string; status?: string } } | null {
  try {
    return JSON.parse(body) as { type?: string; data?: { id?: string; status?: string } };
  } catch {
    return null;
  }
}
