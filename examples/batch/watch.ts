import type { Job, MillraceClient } from './client.ts';

/** How the batch lane stands. */
export interface LaneReading {
  /** Steps that wait until their batch is submitted, as the scheduler's metrics say. */
  collected: number;
  /** Batches at the providers, by their state: the word of the simulator. */
  batches: Record<string, number>;
  /** What the lane has saved so far, and how many steps have left it, by the reason. */
  savedUsd: number;
  escapes: Record<string, number>;
}

/** Reads the scheduler's metrics and the simulator's list of batches. */
export async function readLane(schedulerUrl: string, simulatorUrl: string): Promise<LaneReading> {
  const metrics = await (await fetch(`${schedulerUrl}/metrics`)).text();
  const answer = await fetch(`${simulatorUrl}/_simulator/batches`);
  const { batches } = (await answer.json()) as { batches: { status: string }[] };
  const states: Record<string, number> = {};
  for (const { status } of batches) states[status] = (states[status] ?? 0) + 1;
  return {
    collected: sum(samples(metrics, 'millrace_batch_collected')),
    batches: states,
    savedUsd: sum(samples(metrics, 'millrace_batch_saved_usd_total')),
    escapes: Object.fromEntries(
      samples(metrics, 'millrace_batch_escapes_total').map(({ labels, value }) => [
        /reason="([^"]*)"/.exec(labels)?.[1] ?? '',
        value,
      ]),
    ),
  };
}

/** Shows how the lane and the jobs stand, once a second while anything changes, until all jobs have ended. */
export async function watchJobs(
  client: MillraceClient,
  jobs: readonly { label: string; job: Job }[],
  read: () => Promise<LaneReading>,
): Promise<Job[]> {
  const startedAt = Date.now();
  let shown = '';
  for (;;) {
    const current = await Promise.all(jobs.map(({ job }) => client.get(job.id)));
    const { collected, batches } = await read();
    const states = Object.entries(batches).map(([state, count]) => `${count} ${state}`);
    const progress = current.map(
      ({ progress: { steps_done: done, steps_known: known } }, index) =>
        `${jobs[index]?.label} ${done}/${known}`,
    );
    const line = `${progress.join('   ')}   collected ${collected}   batches: ${states.join(', ') || 'none yet'}`;
    if (line !== shown) console.log(`  ${seconds(Date.now() - startedAt)}  ${line}`);
    shown = line;
    if (current.every(({ status }) => ENDED.includes(status))) return current;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

const ENDED = ['completed', 'failed', 'cancelled', 'expired'];

function samples(metrics: string, name: string): { labels: string; value: number }[] {
  return [...metrics.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))].map(
    ([, labels = '', value]) => ({ labels, value: Number(value) }),
  );
}

function sum(all: readonly { value: number }[]): number {
  return all.reduce((total, { value }) => total + value, 0);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1_000).toFixed(0)} s`.padStart(5);
}
