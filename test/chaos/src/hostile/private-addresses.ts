import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** Ways to write an address of this machine, for a port. */
function formsOf(port: number): string[] {
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '017700000001',
    '0177.0.0.1',
    '0.0.0.0',
    'localhost',
    'LOCALHOST.',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[64:ff9b::127.0.0.1]',
    '[fe80::1]',
    '169.254.169.254',
    '10.0.0.1',
    '192.168.0.1',
    '100.64.0.1',
    'user:password@127.0.0.1',
    'example.com@127.0.0.1',
    '127.0.0.1%00.example.com',
    '①②⑦.⓪.⓪.①',
  ];
  return hosts.flatMap((host) => [`http://${host}:${port}/`, `https://${host}:${port}/`]);
}

/** Offers each of them as a webhook, of a job and of an endpoint; a listener counts what comes. */
export async function tryPrivateAddresses(
  apiUrl: string,
  key: string,
  afterwards: () => Promise<void>,
): Promise<{ tried: number; findings: string[]; errors: string[] }> {
  let connections = 0;
  const listener = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, '::', resolve));
  const { port } = listener.address() as AddressInfo;
  const findings: string[] = [];
  const errors: string[] = [];
  const forms = formsOf(port);
  for (const [index, url] of forms.entries()) {
    const post = (path: string, body: object): Promise<Response> =>
      fetch(`${apiUrl}${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${key}`,
          'content-type': 'application/json',
          'idempotency-key': `private-${index}`,
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
    for (const response of [
      await post('/v1/webhook_endpoints', { url }),
      await post('/v1/jobs', { type: 'call', route: 'cheap', prompt: 'x [[sim:reply=x]]', webhook: { url } }),
    ]) {
      errors.push(await response.text());
      if (response.status >= 500) findings.push(`${url} was answered ${response.status}`);
    }
  }
  // What was taken may be a name that only resolves to something private: its delivery is tried now.
  await afterwards();
  if (connections > 0) findings.push(`the listener got ${connections} connections`);
  await new Promise<void>((resolve) => listener.close(() => resolve()));
  return { tried: forms.length * 2, findings, errors };
}
