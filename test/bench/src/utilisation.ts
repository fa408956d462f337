/**
 * P2: how full a fleet of four worker processes gets a provider's limits. A backlog of jobs of one call with random sizes
 * waits; the simulator counts every sliding minute of 60 s exactly and refuses what is above.
 *
 *     npm run bench -- utilisation [requests|tokens|both] [--seconds 35] [--per-minute 2400] [--outsider 0.3]
 *
 * A run of 70 s or more looks at the last whole minute, so that starting does not count: that is the proof of P2. The
 * default ends within a minute and looks at all but the first ten seconds: it shows that the fleet keeps the limit's pace
 * and meets no 429, not that a minute which slides never holds more. (A shorter window needs workers that are told one; a
 * pool's limits are per minute.) `--outsider` lets somebody else use that share of the account from second 30 on, which the
 * fleet has to learn from headers; by default for 120 s.
 * The same load through the book alone, BullMQ's limiter and bottleneck: capacity-utilisation.ts.
 */
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { withStack } from './bench-stack.ts';
import { randomTokens } from './capacity-call.ts';
import { askWitness, fuller, percent } from './capacity-witness.ts';
import { sendFromOutside } from './outsider.ts';
import { reportFigures } from './report-figures.ts';
import { submitBacklog } from './submit-backlog.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    outsider: { type: 'string', default: '0' },
    'per-minute': { type: 'string', default: '2400' },
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
    const outsider = sendFromOutside(
      { simulatorUrl, apiKey: 'simulator-needs-no-key' },
      { perSecond: (perMinute / 60) * outsiderShare, from: startedAt + OUTSIDER_FROM_MS, to: endsAt },
    );
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
    const { letIn, offered } = witness;
    print(`fullest minute let in: requests ${percent(letIn.requests)}, tokens ${percent(letIn.tokens)}`);
    print(`fullest minute offered: requests ${percent(offered.requests)}, tokens ${percent(offered.tokens)}`);
    const refused = witness.refused - outside.refused;
    const of = outsiderShare === 0 ? '' : `, an outsider takes ${outsiderShare * 100} %`;
    reportFigures([
      {
        what: `P2 4 workers: share of ${perMinute.toLocaleString('en')} a minute used, ${mode}, the last ${lookedAtMs / 1_000} of ${runMs / 1_000} s${of}`,
        goal: outsiderShare === 0 ? '≥ 99 %, no 429, no minute above' : '',
        figure: `${percent(fuller(share))}, ${refused} answers 429, fullest minute offered ${percent(fuller(offered))}`,
        reached: outsiderShare === 0 ? fuller(share) >= 0.99 && refused === 0 && fuller(offered) <= 1 : null,
      },
    ]);
  },
);

/** Of what the limit lets in during the time that is looked at. */
function shareOf(used: number, limit: number): number {
  return used / ((limit * lookedAtMs) / 60_000);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
