import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startRedisServer } from '@millrace/infra';
import { seededRandom } from '../seeded-random.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import { startTcpProxy } from '../stack/tcp-proxy.ts';
import type { ProxyFault, TcpProxy } from '../stack/tcp-proxy.ts';
import type { CampaignRequest, RunResult } from './campaign.ts';
import type { StoreFault } from './store-fault.ts';
import { storeRuns, tryStoreFault } from './stores.ts';

const LASTS_MS = 10_000;

interface NetworkKind {
  kind: string;
  fault: ProxyFault;
}

const kinds: readonly NetworkKind[] = [
  { kind: 'redis.network-latency', fault: { kind: 'latency', ms: 200 } },
  { kind: 'redis.network-cut', fault: { kind: 'cut', afterBytes: 2_000 } },
  { kind: 'redis.network-blackhole', fault: { kind: 'blackhole' } },
  { kind: 'redis.network-reset', fault: { kind: 'reset' } },
];

/** A network that misbehaves between the product's processes and Redis. */
export async function tryProxiedRedis(request: CampaignRequest): Promise<RunResult[]> {
  const wanted = storeRuns(request, kinds);
  if (wanted.length === 0) return [];
  const directory = await mkdtemp(join(tmpdir(), 'millrace-chaos-redis-'));
  const redis = await startRedisServer({ dataDirectory: directory, appendOnly: true });
  const proxy = await startTcpProxy(
    { port: Number(new URL(redis.url).port) },
    seededRandom(request.seed).next,
  );
  const runs: RunResult[] = [];
  try {
    const environment = { REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
    const stack = await startChaosStack({ workers: 2, environment });
    try {
      for (const { fault, seed } of wanted) {
        if (!request.mayGoOn()) return runs;
        runs.push(await tryStoreFault(stack, request, onNetwork(proxy, fault), seed));
      }
    } finally {
      await stack.end();
    }
  } finally {
    await proxy.stop();
    await redis.stop();
    await rm(directory, { recursive: true, force: true });
  }
  return runs;
}

function onNetwork(proxy: TcpProxy, { kind, fault }: NetworkKind): StoreFault {
  return {
    kind,
    target: 'redis',
    lastsMs: LASTS_MS,
    inject: async () => {
      proxy.fault(fault);
      await pause(LASTS_MS);
      const touched = proxy.touched();
      proxy.fault(null);
      return touched > 0;
    },
  };
}
