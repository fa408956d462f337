import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { patientFetch } from './patient-fetch.ts';

test('this Node lets its client be told to wait for headers as long as it takes', async () => {
  const patient = patientFetch();
  // Plain `fetch` is the fallback of a Node that hides its client: then flex calls would end after 300 s.
  expect(patient).not.toBe(globalThis.fetch);
  const server = createServer((_request, response) => response.end('late'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const answer = await patient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect(await answer.text()).toBe('late');
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
