import { setTimeout as pause } from 'node:timers/promises';
import { accountOf } from '@millrace/simulator';
import { seededRandom } from '../seeded-random.ts';
import { openFlakyReceiver } from '../stack/open-flaky-receiver.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { steerProvider } from '../stack/steer-provider.ts';
import { startTcpProxy } from '../stack/tcp-proxy.ts';
import type { TcpProxy } from '../stack/tcp-proxy.ts';
import { attemptRun } from './attempt-run.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';
import { judgeRun } from './judge-run.ts';
import { startLoad } from './load.ts';
import { dialects, providerRuns } from './provider-runs.ts';
import type { Dialect, ProviderRun } from './provider-runs.ts';

/** Everything a provider can do, at a fifth of the calls and at all of them for a minute. */
export const providers: Campaign = {
  name: 'provider',
  describes: 'every fault of the simulator and of the network to it, at 20 % and at 100 % of the calls',
  seeds: 2,
  async run(request) {
    const startedAt = performance.now();
    const planned = providerRuns(request);
    if (planned.length === 0) return { campaign: 'provider', runs: [], tookMs: 0 };
    const lanes = openLanes(request.seed);
    const stack = await startChaosStack({
      workers: 2,
      environment: {
        MILLRACE_CALL_TIMEOUT: '8s',
        ...Object.fromEntries(lanes.map((lane) => [lane.keyName, lane.key])),
      },
      configuration: (providerUrl) => configure(lanes, providerUrl),
    });
    try {
      const runs = await runFaults(stack, request, lanes, planned);
      return { campaign: 'provider', runs, tookMs: performance.now() - startedAt };
    } finally {
      await stack.end();
      for (const lane of lanes) await lane.proxy.current?.stop();
    }
  },
};

/** Runs that are under way at the same time, each with a provider account of its own. */
const LANES = 14;
/** At all of the calls for a minute; at a fifth of them for less, as then nothing opens or closes. */
const LASTS_MS = { all: 60_000, some: 40_000 };
const JOBS = 40;

/** A provider of the configuration: its own account at the simulator, reached through its own proxy. */
interface Lane {
  provider: string;
  kind: Dialect['kind'];
  model: string;
  key: string;
  keyName: string;
  proxy: { current: TcpProxy | null };
  /** Draws the connections that a fault of the network hits; each run begins its own. */
  random: { next: () => number };
}

function openLanes(seed: number): Lane[] {
  return Array.from({ length: LANES }, (_, index) => {
    const dialect = dialects[index % dialects.length] ?? dialects[0];
    return {
      ...dialect,
      provider: `lane${index}`,
      key: `sk-chaos-${seed}-${index}`,
      keyName: `CHAOS_KEY_${index}`,
      proxy: { current: null },
      random: { next: () => 0 },
    };
  });
}

async function configure(lanes: readonly Lane[], providerUrl: string): Promise<string> {
  const { port } = new URL(providerUrl);
  const lines = ['providers:'];
  for (const lane of lanes) {
    lane.proxy.current = await startTcpProxy({ port: Number(port) }, () => lane.random.next());
    const path = lane.kind === 'anthropic' ? '/anthropic' : '/openai/v1';
    lines.push(
      `  ${lane.provider}:`,
      `    kind: ${lane.kind}`,
      `    base_url: http://127.0.0.1:${lane.proxy.current.port}${path}`,
      `    api_key_env: ${lane.keyName}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Each lane takes the next run of its dialect as soon as it is free and its breaker and pauses are over. */
async function runFaults(
  stack: ChaosStack,
  request: CampaignRequest,
  lanes: readonly Lane[],
  planned: readonly ProviderRun[],
): Promise<RunResult[]> {
  const flakyUrl = await openFlakyReceiver(stack);
  const queues = Map.groupBy(planned, ({ dialect }) => dialect);
  const results: RunResult[] = [];
  await Promise.all(
    lanes.map(async (lane) => {
      const queue = queues.get(lane.kind) ?? [];
      for (let next = queue.shift(); next && request.mayGoOn(); next = queue.shift()) {
        const taken = next;
        const described = { run: next.run, seed: next.seed, row: rowName(next) };
        const work = (): Promise<RunResult> => runFault(stack, request, lane, taken, flakyUrl);
        results.push(await attemptRun(request, described, work));
      }
    }),
  );
  return results;
}

function rowName({ fault, share }: ProviderRun): string {
  return `${fault.network ? 'network' : 'provider'} ${fault.group} ${share * 100} %`;
}

async function runFault(
  stack: ChaosStack,
  request: CampaignRequest,
  lane: Lane,
  planned: ProviderRun,
  flakyUrl: string,
): Promise<RunResult> {
  const { run, fault, share, seed } = planned;
  const random = seededRandom(run);
  lane.random.next = seededRandom(`${run}-network`).next;
  const lastsMs = share === 1 ? LASTS_MS.all : LASTS_MS.some;
  const provider = steerProvider(stack);
  const account = accountOf(lane.key);
  const load = startLoad(stack, {
    run,
    random,
    jobs: share === 1 ? (fault.jobs ?? JOBS) : JOBS,
    spreadMs: lastsMs,
    latencyMs: () => random.between(50, 500),
    model: `${lane.provider}/${lane.model}`,
    statuses: fault.ends,
    output: !fault.spoils,
    followed: 4,
    flakyUrl,
    patienceMs: 240_000,
  });
  const startAt = new Date().toISOString();
  let landed: boolean;
  if (fault.network) {
    lane.proxy.current?.fault(fault.network, share);
    await pause(lastsMs);
    landed = (lane.proxy.current?.touched() ?? 0) > 0;
    lane.proxy.current?.fault(null);
  } else {
    const { name, parameters } = fault;
    const id = await provider.fault({ kind: name, share, match: { account }, ...parameters });
    await pause(lastsMs);
    await provider.removeFault(id);
    landed =
      (await provider.arrived((call) => call.account === account && call.end?.fault === name, 0)) !== null;
  }
  stack.faultLog.note({
    id: run,
    campaign: 'provider',
    run,
    seed,
    kind: `provider.${fault.name}`,
    target: 'provider',
    phase: `${share * 100} % of calls, ${lane.kind}`,
    startAt,
    endAt: new Date().toISOString(),
    landed,
    detail: { account, ...(fault.watch?.(share) ?? {}) },
  });
  await load.done;
  return judgeRun(stack, request, {
    run,
    seed,
    row: rowName(planned),
    limitMs: 240_000,
    liveText: 'beginning',
  });
}
