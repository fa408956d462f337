import Bottleneck from 'bottleneck';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { randomTokens, sendCall } from './capacity-call.ts';
import type { LoadOrder, LoadReport } from './capacity-load.ts';

/**
 * BullMQ's own limiter: so many jobs per minute for the whole queue. It knows requests only; with a limit on tokens it is
 * set to what that allows on average.
 */
export async function loadBullmq(order: LoadOrder): Promise<LoadReport> {
  const report = emptyReport();
  const connection = new Redis(order.redisUrl, { maxRetriesPerRequest: null });
  const max = Math.min(order.limits.requests ?? Infinity, (order.limits.tokens ?? Infinity) / 1_000);
  if (order.index === 0) await fillQueue(connection, max * 3);
  const worker = new Worker(
    'calls',
    async (job) => {
      await sendCounted(order, report, String(job.id));
    },
    {
      connection,
      concurrency: order.callers,
      limiter: { max: (max * order.peerWindowMs) / order.windowMs, duration: order.peerWindowMs },
    },
  );
  worker.on('error', (error) => void report.warnings.push(String(error)));
  await new Promise((resolve) => setTimeout(resolve, order.endsAt - Date.now()));
  await worker.close(true);
  connection.disconnect();
  return report;
}

async function fillQueue(connection: Redis, jobs: number): Promise<void> {
  const queue = new Queue('calls', { connection });
  for (let first = 0; first < jobs; first += 1_000) {
    await queue.addBulk(
      Array.from({ length: 1_000 }, () => ({
        name: 'call',
        data: {},
        opts: { removeOnComplete: true, removeOnFail: true },
      })),
    );
  }
  await queue.close();
}

/**
 * Clustered bottleneck: a reservoir that is filled again every minute; where tokens are limited, a second limiter whose
 * jobs weigh their tokens, chained before it.
 */
export async function loadBottleneck(order: LoadOrder): Promise<LoadReport> {
  const report = emptyReport();
  const limiter = (id: string, perWindow: number): Bottleneck => {
    const part = (perWindow * order.peerWindowMs) / order.windowMs;
    const created = new Bottleneck({
      id,
      datastore: 'ioredis',
      Redis,
      clientOptions: order.redisUrl,
      reservoir: part,
      reservoirRefreshAmount: part,
      reservoirRefreshInterval: order.peerWindowMs,
    });
    created.on('error', (error) => void report.warnings.push(String(error)));
    return created;
  };
  const requests = order.limits.requests === null ? null : limiter('requests', order.limits.requests);
  const tokens = order.limits.tokens === null ? null : limiter('tokens', order.limits.tokens);
  await Promise.all([requests?.ready(), tokens?.ready()]);
  let calls = 0;
  const send = async (): Promise<void> => {
    while (Date.now() < order.endsAt) {
      const weight = randomTokens();
      const call = (): Promise<void> =>
        sendCounted(order, report, `bottleneck${order.index}-${(calls += 1)}`, weight);
      const throughRequests = (): Promise<void> => (requests ? requests.schedule(call) : call());
      await (tokens ? tokens.schedule({ weight }, throughRequests) : throughRequests());
    }
  };
  const end = new Promise((resolve) => setTimeout(resolve, order.endsAt - Date.now()));
  await Promise.race([end, Promise.all(Array.from({ length: order.callers }, send))]);
  return report;
}

async function sendCounted(
  order: LoadOrder,
  report: LoadReport,
  id: string,
  tokens = randomTokens(),
): Promise<void> {
  if (Date.now() >= order.endsAt) return;
  const answer = await sendCall(order.address, id, tokens);
  report.sent += 1;
  if (answer.status === 429) report.refused += 1;
}

function emptyReport(): LoadReport {
  return { sent: 0, refused: 0, late: 0, departures: [], warnings: [], outside: 0 };
}
