import { createHash } from 'node:crypto';
import { createApiKey } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { workedMs } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { Redis } from 'ioredis';
import type { createHttpClient } from './http-client.ts';
import type { SimulatedProvider } from './simulated-provider.ts';
import type { TestStack } from './start-stack.ts';
import { longestStandstillMs } from './worker-standstills.ts';

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
  /** Calls of its model that arrived per second from some seconds before its placing until its own arrival; gaps as in `servedMs`. */
  perSecond: number;
  /** The longest standstill of those who carried it: meanwhile others, who did not stand still, rightly went on. */
  stoodStillMs: number;
}

/** What a single call is sent and seen with. */
export interface SingleCallParts {
  stack: TestStack;
  client: Client;
  provider: SimulatedProvider;
  database: Database;
}

const RATE_WINDOW_MS = 5_000;
/** Whoever carries a call needs a few tens of milliseconds for it. */
const STANDSTILL_MS = 100;
const TRIES = 3;

/**
 * Submits one call and waits until it is at the provider. One that does not fare well although nobody stood still is the result.
 * Where somebody did, it proves nothing, and another one is sent, up to three in all.
 */
export async function sendSingleCall(
  parts: SingleCallParts,
  name: string,
  request: Record<string, unknown>,
  model: string,
  faresWell: (call: SingleCall) => boolean = () => true,
): Promise<SingleCall> {
  for (let number = 1; ; number += 1) {
    const call = await sendOnce(parts, number === 1 ? name : `${name} (${number})`, request, model);
    if (faresWell(call) || call.stoodStillMs < STANDSTILL_MS || number === TRIES) return call;
    console.log('somebody stood still, so another one is sent:', call);
  }
}

async function sendOnce(
  { stack, client, provider, database }: SingleCallParts,
  name: string,
  request: Record<string, unknown>,
  model: string,
): Promise<SingleCall> {
  // What was before does not count.
  await longestStandstillMs(stack);
  const submittedAt = Date.now();
  const job = await client.submit(name, request);
  const own = () => provider.callsOf(job.id)[0];
  await waitFor(() => own() !== undefined, {
    timeoutMs: 30_000,
    intervalMs: 50,
    what: `the call of ${name}`,
  });
  const workersMs = await longestStandstillMs(stack);
  const step = await readStep(database, job.id);
  const queuedAt = await readQueuedAt(stack, job.id, step);
  const arrivedAt = Date.parse(own()!.at);
  const others = provider
    .calls()
    .filter((each) => each.model === model && !each.stepId!.startsWith(`${job.id}/`))
    .map(({ at }) => Date.parse(at));
  const before = others.filter((at) => at >= step.placedAt && at < arrivedAt).length;
  const windowAt = step.placedAt - RATE_WINDOW_MS;
  const inWindow = others.filter((at) => at >= windowAt && at < arrivedAt).length;
  return {
    name,
    before,
    placedAfterMs: Math.round(step.placedAt - submittedAt),
    waitedMs: arrivedAt - submittedAt,
    servedMs: Math.round(workedMs(others, step.placedAt, arrivedAt)),
    perSecond: (inWindow * 1_000) / workedMs(others, windowAt, arrivedAt),
    stoodStillMs: Math.round(Math.max(workersMs, queuedAt - step.placedAt, arrivedAt - step.sentAt)),
  };
}

interface PlacedStep {
  key: string;
  pool: string;
  /** Both are when their transaction began: a backend may stand still before it commits. */
  placedAt: number;
  sentAt: number;
}

async function readStep(database: Database, jobId: string): Promise<PlacedStep> {
  const [step] = await database.query<PlacedStep>(
    `SELECT s.key, s.pool, (extract(epoch FROM s.created_at) * 1000)::float8 AS "placedAt",
       (extract(epoch FROM a.sent_at) * 1000)::float8 AS "sentAt"
     FROM steps s JOIN attempts a ON a.job_id = s.job_id AND a.step_key = s.key
     WHERE s.job_id = $1 ORDER BY a.number LIMIT 1`,
    [jobId],
  );
  return step!;
}

/** When the step's first wake came to its queue, by the clock of Redis; its placing if the queue remembers no more. */
async function readQueuedAt(stack: TestStack, jobId: string, { key, pool, placedAt }: PlacedStep) {
  const wake = createHash('sha256').update([jobId, key, 0].join('\n')).digest('base64url').slice(0, 27);
  const redis = new Redis(stack.redisUrl);
  try {
    const events = await redis.xrange(`{mr}:calls-${pool}:events`, Math.floor(placedAt), '+');
    const added = events.find(([, fields]) => fields.includes('added') && fields.includes(`w${wake}`));
    return added ? Number(added[0].split('-')[0]) : placedAt;
  } finally {
    redis.disconnect();
  }
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
