import { setTimeout as pause } from 'node:timers/promises';
import type { Invariant } from '../checker/check.ts';
import type { Evidence } from '../observer/evidence.ts';
import { gatherEvidence } from '../stack/gather-evidence.ts';
import { steerProvider } from '../stack/steer-provider.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { batchJob, chaosJob } from './chaos-jobs.ts';
import type { ChaosJob } from './chaos-jobs.ts';

/** A defence that can be switched off in the product, and how its absence shows. */
export interface PlantedDefect {
  /** As `hasDefect(name)` asks for it. */
  name: string;
  /** The invariants of which at least one must be violated. */
  breaks: readonly Invariant[];
  /** Does what the defence is there for, and answers what the witnesses saw. */
  provoke: (scene: Scene) => Promise<Evidence>;
  /** Makes the stack whole again for the next scenario. */
  repair?: (stack: ChaosStack) => Promise<void>;
}

interface Scene {
  stack: ChaosStack;
  run: string;
  seed: number;
  planted: boolean;
}

/** So long a job that is broken by its defect is waited for. */
const BROKEN_WITHIN_MS = 12_000;
const SOUND_WITHIN_MS = 60_000;

export const plantedDefects: readonly PlantedDefect[] = [
  { name: 'skip-reconciler', breaks: ['I1'], provoke: (scene) => crash(scene, 'intake.after-commit') },
  { name: 'enqueue-without-ledger', breaks: ['I1'], provoke: plain },
  { name: 'skip-idempotency', breaks: ['I2'], provoke: plain },
  { name: 'send-before-record', breaks: ['I3'], provoke: plain },
  { name: 'renew-nothing', breaks: ['I3'], provoke: longCall },
  { name: 'skip-fence', breaks: ['I4'], provoke: staleWorker },
  { name: 'miscount-usage', breaks: ['I5'], provoke: plain },
  { name: 'drop-usage-on-abort', breaks: ['I5'], provoke: cancelOnTheWay },
  { name: 'leak-reservation', breaks: ['I1'], provoke: tightBudget },
  { name: 'forget-settle', breaks: ['I1'], provoke: narrowPool, repair: restartWorkers },
  { name: 'ignore-retry-after', breaks: ['I7'], provoke: rateLimited },
  { name: 'hammer-account', breaks: ['I7'], provoke: emptyAccount },
  { name: 'unsigned-webhook', breaks: ['I9'], provoke: plain },
  { name: 'lose-delivery', breaks: ['I9'], provoke: plain },
  { name: 'resume-too-early', breaks: ['I10'], provoke: plain },
  { name: 'drop-terminal-event', breaks: ['I1'], provoke: plain },
  { name: 'rewrite-terminal', breaks: ['I1'], provoke: plain },
  { name: 'cross-tenant-read', breaks: ['I11'], provoke: plain },
  { name: 'log-texts', breaks: ['I11'], provoke: plain },
  { name: 'log-keys', breaks: ['I11'], provoke: plain },
  { name: 'submit-batch-twice', breaks: ['I15'], provoke: (scene) => batch(scene, 'batch.after-create') },
  { name: 'lose-batch-line', breaks: ['I15'], provoke: (scene) => batch(scene, null) },
  {
    name: 'skip-error-file',
    breaks: ['I15'],
    provoke: (scene) => batch(scene, null, '[[sim:fault=bad_request]]'),
  },
];

/** A chain, followed with cuts; then everything that must change nothing: cancel, another tenant, the same key again. */
async function plain(scene: Scene): Promise<Evidence> {
  const key = `${scene.run}-key`;
  return see(scene, [{ key, job: chaosJob('chain', { run: scene.run, key }) }]);
}

async function see(
  { stack, run, seed, planted }: Scene,
  submissions: readonly { key: string; job: ChaosJob }[],
  meanwhile: (jobIds: readonly string[]) => Promise<void> = async () => undefined,
): Promise<Evidence> {
  const patienceMs = planted ? BROKEN_WITHIN_MS : SOUND_WITHIN_MS;
  const ids = await Promise.all(submissions.map(({ key, job }) => stack.client.submit({ run, key, ...job })));
  const jobIds = ids.filter((id) => id !== null);
  const following = jobIds.map((jobId) => stack.client.follow({ run, jobId, cutEvery: 3, seed, patienceMs }));
  await meanwhile(jobIds);
  await Promise.all(following);
  for (const jobId of jobIds) {
    await stack.client.look(run, jobId);
    await stack.client.cancel(run, jobId);
    await stack.client.probe(run, jobId);
  }
  for (const { key, job } of submissions) await stack.client.submit({ run, key, ...job });
  return gatherEvidence(stack, run, { limitMs: patienceMs, expectsWebhooks: true, liveText: 'whole' });
}

async function crash(scene: Scene, point: string): Promise<Evidence> {
  const { stack, run } = scene;
  const key = `${run}-key`;
  stack.orders.crash({ id: run, point, passing: 1, about: key });
  const evidence = see(scene, [{ key, job: chaosJob('call', { run, key }) }]);
  const landed = await stack.orders.landed(run, 10_000);
  stack.orders.crash(null);
  noteFault(scene, { kind: 'crash', target: 'api', phase: point, landed: landed !== null });
  return evidence;
}

/** Longer than a lease, so that only its renewal keeps others from taking the step. */
async function longCall(scene: Scene): Promise<Evidence> {
  const key = `${scene.run}-key`;
  const job = chaosJob('call', { run: scene.run, key }, { latencyMs: 17_000 });
  return see({ ...scene, planted: false }, [{ key, job }]);
}

/** A worker that stands still with an answer in its hands until another one has sent the call again, and then goes on. */
async function staleWorker(scene: Scene): Promise<Evidence> {
  const { stack, run } = scene;
  const key = `${run}-key`;
  const job = chaosJob('call', { run, key }, { latencyMs: 4_000 });
  stack.orders.crash({ id: run, point: 'call.after-answer', passing: 1, about: key, signal: 'SIGSTOP' });
  return see({ ...scene, planted: false }, [{ key, job }], async ([jobId = '']) => {
    const landed = await stack.orders.landed(run, 20_000);
    stack.orders.crash(null);
    const startAt = new Date().toISOString();
    const provider = steerProvider(stack);
    await provider.arrived(
      (call) => call.stepId?.startsWith(`${jobId}/`) === true && call.stepId.endsWith('#2'),
      25_000,
    );
    // The second call is under way: now the first holder's answer comes.
    if (landed) process.kill(landed.pid, 'SIGCONT');
    noteFault(scene, {
      kind: 'stop',
      target: 'worker',
      phase: 'call.after-answer',
      landed: landed !== null,
      startAt,
    });
  });
}

async function cancelOnTheWay(scene: Scene): Promise<Evidence> {
  const { stack, run } = scene;
  const key = `${run}-key`;
  const { request } = chaosJob('call', { run, key }, { latencyMs: 100 });
  const slow = { ...request, prompt: `Talk at length. [[sim:tokens=80]][[sim:tps=10]] (${key})` };
  return see(
    scene,
    [{ key, job: { request: slow, expect: { statuses: ['cancelled'] } } }],
    async ([jobId = '']) => {
      await steerProvider(stack).arrived((call) => call.stepId?.startsWith(`${jobId}/`) === true, 10_000);
      await pause(1_500);
      await stack.client.cancel(run, jobId);
    },
  );
}

/** Room for one call's worst case and what calls really cost, not for two worst cases. */
async function tightBudget(scene: Scene): Promise<Evidence> {
  const key = `${scene.run}-key`;
  const job = chaosJob(
    'chain',
    { run: scene.run, key },
    { model: 'openai/gpt-6.1-sol', more: { max_cost_usd: '0.0025' } },
  );
  return see(scene, [{ key, job }]);
}

async function narrowPool(scene: Scene): Promise<Evidence> {
  const submissions = Array.from({ length: 6 }, (_, index) => {
    const key = `${scene.run}-key${index}`;
    return { key, job: chaosJob('call', { run: scene.run, key }, { model: 'openai/gpt-5.4-nano' }) };
  });
  return see(scene, submissions);
}

/** Two refusals that name four seconds, in a pool of their own. */
async function rateLimited(scene: Scene): Promise<Evidence> {
  const { stack, run } = scene;
  const provider = steerProvider(stack);
  const startAt = new Date().toISOString();
  const retryAfterMs = 4_000;
  await provider.fault({
    kind: 'rate_limit',
    times: 2,
    retry_after: retryAfterMs / 1_000,
    match: { prompt: run },
  });
  const submissions = submissionsTo('openai/gpt-5.4-mini', run, 6, ['completed']);
  const evidence = await see({ ...scene, planted: false }, submissions, async () => {
    await pause(6_000);
    const detail = { retryAfterMs };
    noteFault(scene, {
      kind: 'provider.rate_limit',
      target: 'provider',
      phase: 'call',
      landed: true,
      startAt,
      detail,
    });
  });
  await provider.clearFaults();
  return evidence;
}

/** An account without quota: the first call learns of it, the others are not to ask. */
async function emptyAccount(scene: Scene): Promise<Evidence> {
  const { stack, run } = scene;
  const provider = steerProvider(stack);
  const startAt = new Date().toISOString();
  await provider.fault({ kind: 'insufficient_quota', match: { prompt: run } });
  // Its pool is closed for a minute afterwards, so that the second run needs another one.
  const model = scene.planted ? 'openai/gpt-6-sol' : 'openai/gpt-4.1-mini';
  const submissions = submissionsTo(model, run, 6, ['cancelled', 'failed']);
  const [first, ...others] = submissions;
  if (first) await stack.client.submit({ run, key: first.key, ...first.job });
  await provider.arrived((call) => call.end?.fault === 'insufficient_quota', 10_000);
  await pause(500);
  const evidence = await see(scene, others, async (jobIds) => {
    await pause(4_000);
    for (const jobId of jobIds) await stack.client.cancel(run, jobId);
    const detail = { probeMs: 60_000 };
    noteFault(scene, {
      kind: 'provider.empty',
      target: 'provider',
      phase: 'call',
      landed: true,
      startAt,
      detail,
    });
  });
  await provider.clearFaults();
  return evidence;
}

function submissionsTo(model: string, run: string, count: number, statuses: readonly string[]) {
  return Array.from({ length: count }, (_, index) => {
    const key = `${run}-key${index}`;
    const job = chaosJob('call', { run, key }, { model });
    return { key, job: { ...job, expect: { ...job.expect, statuses } } };
  });
}

/** Three lines of a provider batch, with a crash of the scheduler, or a line that the provider refuses. */
async function batch(scene: Scene, point: string | null, marker = ''): Promise<Evidence> {
  const { stack, run, seed } = scene;
  if (point !== null) stack.orders.crash({ id: run, point, passing: 1, about: null });
  const submissions = Array.from({ length: 3 }, (_, index) => {
    const key = `${run}-key${index}`;
    const job = batchJob({ run, key });
    if (index > 0 || marker === '') return { key, job };
    const request = { ...job.request, prompt: `${String(job.request['prompt'])} ${marker}` };
    return { key, job: { request, expect: { statuses: ['failed'] } } };
  });
  const jobIds = await Promise.all(
    submissions.map(({ key, job }) => stack.client.submit({ run, key, ...job })),
  );
  const following = jobIds.map(async (jobId) =>
    jobId === null
      ? null
      : stack.client.follow({ run, jobId, cutEvery: null, seed, patienceMs: SOUND_WITHIN_MS }),
  );
  if (point !== null) {
    const landed = await stack.orders.landed(run, 20_000);
    stack.orders.crash(null);
    noteFault(scene, { kind: 'crash', target: 'scheduler', phase: point, landed: landed !== null });
  }
  await Promise.all(following);
  return gatherEvidence(stack, run, {
    limitMs: SOUND_WITHIN_MS,
    expectsWebhooks: true,
    liveText: 'whole',
    ownsBatches: true,
  });
}

async function restartWorkers(stack: ChaosStack): Promise<void> {
  for (const each of stack.processes) if (each.name.startsWith('worker')) each.signal('SIGKILL');
}

function noteFault(
  { stack, run, seed }: Scene,
  fault: {
    kind: string;
    target: string;
    phase: string;
    landed: boolean;
    startAt?: string;
    detail?: Record<string, unknown>;
  },
): void {
  const endAt = new Date().toISOString();
  stack.faultLog.note({ id: run, campaign: 'defects', run, seed, startAt: endAt, endAt, ...fault });
}
