import { setTimeout as pause } from 'node:timers/promises';
import type { SeededRandom } from '../seeded-random.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { chaosJob, jobKinds } from './chaos-jobs.ts';

/** What became of a load: the jobs that were acknowledged, and those whose stream was followed to its end. */
export interface Load {
  /** Resolves when every submission was answered and every followed stream has ended or given up. */
  done: Promise<void>;
}

const FLAKY_EVERY = 5;

/**
 * Submits mixed jobs at an even rate for a time, follows some of them with cuts, and afterwards tries what must change
 * nothing on some: cancel, another tenant, the same key again.
 */
export function startLoad(
  stack: ChaosStack,
  options: {
    run: string;
    random: SeededRandom;
    jobs: number;
    /** Over so long the submissions are spread. */
    spreadMs: number;
    latencyMs: () => number;
    model?: string;
    /** How the jobs may end; default: completed. */
    statuses?: readonly string[];
    /** False: the answers may be others than those asked for. */
    output?: boolean;
    /** How many of the jobs are followed. */
    followed?: number;
    /** A receiver that refuses each webhook once, which every fifth job names as its own. */
    flakyUrl?: string;
    patienceMs?: number;
  },
): Load {
  const { run, random, jobs } = options;
  const followed = options.followed ?? 20;
  const patienceMs = options.patienceMs ?? 120_000;
  const one = async (index: number): Promise<void> => {
    const key = `${run}-${index}`;
    const kind = jobKinds[index % jobKinds.length] ?? 'call';
    const latencyMs = options.latencyMs();
    const isFlaky = options.flakyUrl !== undefined && index % FLAKY_EVERY === 0;
    const job = chaosJob(
      kind,
      { run, key },
      {
        latencyMs,
        ...(options.model ? { model: options.model } : {}),
        ...(isFlaky ? { more: { webhook: { url: options.flakyUrl } } } : {}),
      },
    );
    const statuses = options.statuses ?? job.expect.statuses;
    const expect = options.output === false ? { statuses } : { ...job.expect, statuses };
    const submission = { run, key, request: job.request, expect, patienceMs };
    const seed = random.between(1, 1_000_000);
    const jobId = await stack.client.submit(submission);
    // The client has noted that nobody took it.
    if (jobId === null || index >= followed) return;
    await stack.client.follow({ run, jobId, cutEvery: 8, seed, patienceMs });
    await stack.client.look(run, jobId);
    await stack.client.cancel(run, jobId);
    await stack.client.probe(run, jobId);
    await stack.client.submit(submission);
  };
  const all = async (): Promise<void> => {
    const running: Promise<void>[] = [];
    for (let index = 0; index < jobs; index += 1) {
      running.push(one(index));
      await pause(options.spreadMs / jobs);
    }
    await Promise.all(running);
  };
  return { done: all() };
}
