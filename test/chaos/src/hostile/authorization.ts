import { accessTable } from './access-table.ts';
import type { ApiDescription, Operation } from './openapi.ts';

/** A key of each kind, as text. */
export interface Keys {
  own: string;
  revoked: string;
  stranger: string;
  board: string;
  admin: string;
}

/** Things of the own tenant that another one must not find, by the beginning of the path. */
export type OwnedIds = Readonly<Record<string, string>>;

/** Asks every route with every kind of key; what is not answered as the table says is a finding. */
export async function tryAuthorization(
  api: ApiDescription,
  apiUrl: string,
  keys: Keys,
  owned: OwnedIds,
): Promise<{ asked: number; findings: string[] }> {
  const findings: string[] = [];
  let asked = 0;
  const names = api.operations.map(({ method, path }) => `${method} ${path}`);
  for (const name of names)
    if (!(name in accessTable)) findings.push(`${name} has no row in the table of access`);
  for (const name of Object.keys(accessTable))
    if (!names.includes(name)) findings.push(`${name} is in the table and not in the document`);

  const expectStatus = async (
    operation: Operation,
    who: string,
    key: string | null,
    id: string,
    isRight: (status: number) => boolean,
  ): Promise<void> => {
    asked += 1;
    const status = await ask(operation, apiUrl, key, id);
    if (!isRight(status)) findings.push(`${operation.method} ${operation.path} with ${who}: ${status}`);
  };
  const isOpen = (status: number): boolean => status < 500 && status !== 401 && status !== 403;

  for (const operation of api.operations) {
    const access = accessTable[`${operation.method} ${operation.path}`];
    const unknown = 'job_00000000000000000000000000';
    const mine = Object.entries(owned).find(([start]) => operation.path.startsWith(start))?.[1] ?? unknown;
    if (access === 'open') {
      await expectStatus(operation, 'no key', null, unknown, isOpen);
      continue;
    }
    if (access === 'signed') {
      const isRefused = (status: number): boolean => status >= 400 && status < 500;
      for (const [who, key] of Object.entries(keys))
        await expectStatus(operation, `the key "${who}"`, String(key), unknown, isRefused);
      continue;
    }
    for (const [who, key] of [
      ['no key', null],
      ['nonsense', 'mr_nonsense'],
      ['a forged secret', `${keys.own.slice(0, -4)}0000`],
      ['a revoked key', keys.revoked],
    ] as const) {
      await expectStatus(operation, who, key, mine, (status) => status === 401);
    }
    const wrong =
      access === 'jobs'
        ? ([
            ['the scope board', keys.board],
            ['the scope admin', keys.admin],
          ] as const)
        : ([
            ['the scope board', keys.board],
            ['the scope jobs', keys.own],
          ] as const);
    for (const [who, key] of wrong) await expectStatus(operation, who, key, mine, (status) => status === 403);
    if (access === 'admin') {
      await expectStatus(operation, 'the scope admin', keys.admin, unknown, isOpen);
      continue;
    }
    await expectStatus(operation, 'its own key', keys.own, unknown, isOpen);
    if (operation.path.includes('{')) {
      // As for an id that does not exist; a body that is wrong may be said to be so first.
      const unknownStatus = await ask(operation, apiUrl, keys.stranger, unknown);
      const isHidden = (status: number): boolean => status === unknownStatus && status >= 400;
      await expectStatus(operation, "another tenant's key", keys.stranger, mine, isHidden);
    }
  }
  return { asked, findings };
}

async function ask(operation: Operation, apiUrl: string, key: string | null, id: string): Promise<number> {
  const path = operation.path.replaceAll(/\{[^}]+\}/g, encodeURIComponent(id));
  const headers: Record<string, string> = { 'idempotency-key': 'authorization' };
  if (key !== null) headers['authorization'] = `Bearer ${key}`;
  // A body that every schema but `resolve` refuses: what may not be asked must be refused before it is read.
  const hasBody = operation.body !== null;
  if (hasBody) headers['content-type'] = 'application/json';
  const body = operation.path.endsWith('/resolve') ? '{"action":"fail"}' : '{}';
  const response = await fetch(`${apiUrl}${path}`, {
    method: operation.method,
    headers,
    redirect: 'manual',
    signal: AbortSignal.timeout(10_000),
    ...(hasBody ? { body } : {}),
  });
  await response.body?.cancel();
  return response.status;
}
