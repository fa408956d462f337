/**
 * P2: how full a fleet of four worker processes gets a provider's limits. A backlog of jobs of one call with random sizes
 * waits; the simulator counts every sliding minute of 60 s exactly and refuses what is above.
 *
 *     node test/bench/src/utilisation.ts [requests|tokens|both] [--outsider 0.3] [--per-minute 3000] [--seconds 35]
 *
 * A run of 70 s or more looks at the last whole minute, so that starting does not count: that is the proof of P2. The
 * default ends within a minute and looks at all but the first ten seconds: it shows that the fleet keeps the limit's pace
 * and meets no 429, not that a minute which slides never holds more. `--outsider` lets somebody else use that share of the account
 * from second 30 on, which the fleet has to learn from headers; by default for 120 s.
 * The book alone, without the workers around it, and its peers: capacity-utilisation.ts. Prints the share last.
 */
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { withStack } from './bench-stack.ts';
import { randomTokens, sendCall } from './capacity-call.ts';
import { askWitness } from './capacity-witness.ts';
import { submitBacklog } from './submit-backlog.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    outsider: { type: 'string', default: '0' },
    'per-minute': { type: 'string', default: '3000' },
    seconds: { type: 'string' },
  },
});
const mode = positionals[0] ?? 'both';
const perMinute = Number(values['per-minute']);
const outsiderShare = Number(values.outsider);
const runMs = Number(values.seconds ?? (outsiderShare > 0 ? '120' : '35')) * 1_000;
/** Without the start, in which the processes get going. */
const lookedAtMs = runMs >= 70_000 ? 60_000 : runMs - 10_000;
const OUTSIDER_FROM_MS = 30_000;
const limits = {
  requests: mode === 'tokens' ? null : perMinute,
  tokens: mode === 'requests' ? null : perMinute * 1_000,
};
const pool = [
  limits.requests === null ? '' : `requests_per_minute: ${limits.requests}`,
  limits.tokens === null ? '' : `tokens_per_minute: ${limits.tokens}`,
].filter((line) => line !== '');

await withStack(
  {
    workers: 4,
    simulator: { latencyMs: 50, latencyJitterMs: 100, limits: { openai: limits } },
    environment: { MILLRACE_WORKER_CONCURRENCY: '64' },
    configuration: `pools:\n  openai: {${pool.join(', ')}}\n`,
  },
  async (stack) => {
    const simulatorUrl = stack.simulatorUrl ?? '';
    const callOfRandomSize = () => ({
      type: 'call',
      model: 'openai/gpt-6-luna',
      prompt: 'Say something. [[sim:reply=something]]',
      max_output_tokens: randomTokens(),
    });
    const backlog = Math.ceil((perMinute * (runMs + 25_000)) / 60_000);
    const head = Math.ceil(perMinute / 6);
    await submitBacklog(stack, head, callOfRandomSize, 16);
    const startedAt = Date.now();
    // A slow intake must not use up the backlog before anybody looks.
    const filling = submitBacklog(stack, backlog - head, callOfRandomSize, 16);
    const endsAt = startedAt + runMs;
    const outsider = sendFromOutside(simulatorUrl, startedAt + OUTSIDER_FROM_MS, endsAt);
    await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now()));
    const outside = await outsider;
    await filling;
    const witness = await askWitness(simulatorUrl, { from: endsAt - lookedAtMs, to: endsAt });
    const share = {
      requests: limits.requests === null ? null : shareOf(witness.used.requests, limits.requests),
      tokens: limits.tokens === null ? null : shareOf(witness.used.tokens, limits.tokens),
    };
    const redis = new Redis(stack.redisUrl);
    const waiting = await redis.zcard('{mr}:calls-openai:prioritized');
    const delayed = await redis.zcard('{mr}:calls-openai:delayed');
    redis.disconnect();
    print(
      `limits ${JSON.stringify(limits)}, 4 worker processes, the last ${lookedAtMs / 1_000} of ${runMs / 1_000} s`,
    );
    if (outside.sent > 0) print(`the outsider sent ${outside.sent}, of which refused ${outside.refused}`);
    print(`still waiting ${waiting} and delayed ${delayed}`);
    print(`share of the requests used: ${percent(share.requests)}, of the tokens: ${percent(share.tokens)}`);
    print(
      `fullest minute: requests ${percent(witness.fullest.requests)}, tokens ${percent(witness.fullest.tokens)}`,
    );
    print(`answers 429 to the fleet: ${witness.refused - outside.refused}`);
    print(`share used: ${Math.max(share.requests ?? 0, share.tokens ?? 0).toFixed(4)} (goal 0.99)`);
  },
);

/** Somebody else with the same account, who sends at an even pace and looks at nothing. */
async function sendFromOutside(
  simulatorUrl: string,
  from: number,
  to: number,
): Promise<{ sent: number; refused: number }> {
  const seen = { sent: 0, refused: 0 };
  if (outsiderShare === 0) return seen;
  await new Promise((resolve) => setTimeout(resolve, from - Date.now()));
  const perSecond = (perMinute / 60) * outsiderShare;
  const calls: Promise<void>[] = [];
  while (Date.now() < to) {
    const due = Math.floor(((Date.now() - from) / 1_000) * perSecond);
    while (seen.sent < due) {
      seen.sent += 1;
      const address = { simulatorUrl, apiKey: 'simulator-needs-no-key' };
      calls.push(
        sendCall(address, `outsider-${seen.sent}`, 1_000).then(({ status }) => {
          if (status === 429) seen.refused += 1;
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all(calls);
  return seen;
}

/** Of what the limit lets in during the time that is looked at. */
function shareOf(used: number, limit: number): number {
  return used / ((limit * lookedAtMs) / 60_000);
}

function percent(share: number | null): string {
  return share === null ? 'unlimited' : `${(share * 100).toFixed(2)} %`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
