import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@millrace/config';
import type { ProviderCall } from '@millrace/providers';
import { afterAll, expect, test } from 'vitest';
import { createProviders } from './create-providers.ts';

const directory = mkdtempSync(join(tmpdir(), 'providers-'));
let lastAt = 0;
const server = createServer((_request, response) => {
  lastAt = performance.now();
  response.writeHead(401).end();
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await new Promise((resolve) => server.close(resolve));
});

test('calls to a provider begin so far apart as its configuration says', async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  writeFileSync(
    join(directory, 'millrace.config.yaml'),
    `providers:
  local: {kind: openai_compatible, base_url: "http://127.0.0.1:${port}/v1", min_spacing_ms: 100}
`,
  );
  const addresses = { DATABASE_URL: 'postgres://127.0.0.1/none', REDIS_URL: 'redis://127.0.0.1:1' };
  const provider = createProviders(loadConfig(addresses, directory)).providers.get('local')!;
  const call: ProviderCall = {
    ...{ model: 'm', system: null, output: null, maxOutputTokens: 5 },
    messages: [{ role: 'user', content: 'hello' }],
    ...{ requestTag: 'job/step#1', timeoutMs: 10_000 },
  };
  const { signal } = new AbortController();
  const startedAt = performance.now();
  await Promise.all([1, 2, 3].map(() => expect(provider.call(call, { signal })).rejects.toThrow('401')));
  expect(lastAt - startedAt).toBeGreaterThanOrEqual(2 * 100 - 2);
});
