import { createApiKey } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { workedMs } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import type { createHttpClient } from './http-client.ts';
import type { SimulatedProvider } from './simulated-provider.ts';

type Client = ReturnType<typeof createHttpClient>;

/** How one call fared behind the backlog of somebody else. */
export interface SingleCall {
  name: string;
  /** Other calls of its model that arrived at the provider between the moment at which it was placed and its own arrival. */
  before: number;
  /** From its submission until its step was placed, and until it arrived. */
  placedAfterMs: number;
  waitedMs: number;
  /** From the placing of its step until it arrived, without the time in which no call of its model did. */
  servedMs: number;
}

/** Submits one call and waits until it is at the provider. */
export async function sendSingleCall(
  { client, provider, database }: { client: Client; provider: SimulatedProvider; database: Database },
  name: string,
  request: Record<string, unknown>,
  model: string,
): Promise<SingleCall> {
  const submittedAt = Date.now();
  const job = await client.submit(name, request);
  const own = () => provider.callsOf(job.id)[0];
  await waitFor(() => own() !== undefined, {
    timeoutMs: 30_000,
    intervalMs: 50,
    what: `the call of ${name}`,
  });
  const [step] = await database.query<{ placedAt: number }>(
    'SELECT (extract(epoch FROM created_at) * 1000)::float8 AS "placedAt" FROM steps WHERE job_id = $1',
    [job.id],
  );
  const arrivedAt = Date.parse(own()!.at);
  const others = provider
    .calls()
    .filter((each) => each.model === model && !each.stepId!.startsWith(`${job.id}/`))
    .map(({ at }) => Date.parse(at));
  const before = others.filter((at) => at >= step!.placedAt && at < arrivedAt).length;
  return {
    name,
    before,
    placedAfterMs: Math.round(step!.placedAt - submittedAt),
    waitedMs: arrivedAt - submittedAt,
    servedMs: Math.round(workedMs(others, step!.placedAt, arrivedAt)),
  };
}

/** Submits the same call many times, 32 at a time. */
export async function submitMany(
  client: Client,
  count: number,
  request: Record<string, unknown>,
): Promise<void> {
  const lane = async (first: number): Promise<void> => {
    for (let index = first; index < count; index += 32) await client.submit(`backlog-${index}`, request);
  };
  await Promise.all(Array.from({ length: 32 }, (_, index) => lane(index)));
}

/** How many steps a pool was given. */
export async function countSteps(database: Database, pool: string): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM steps WHERE pool = $1',
    [pool],
  );
  return row!.count;
}

/** Clients of a large and a small tenant. */
export async function openTenants(
  database: Database,
  toClient: (key: string) => Client,
): Promise<{ large: Client; small: Client }> {
  const clientOf = async (tenantId: string): Promise<Client> =>
    toClient((await createApiKey(database, { tenantId, name: 'e2e', scopes: ['jobs'] })).text);
  return { large: await clientOf('large'), small: await clientOf('small') };
}
