import { forecastJob, forecastNew } from '@millrace/capacity';
import type { Forecast } from '@millrace/capacity';
import type { JobObject, ScalingPlan } from '@millrace/contracts';
import { findOpenCalls, toJobObject } from '@millrace/ledger';
import type { JobForecast, JobRecord, OpenCallsRecord, Queryable } from '@millrace/ledger';

/** Shows jobs with what those that have not ended may expect. */
export interface ShowJobs {
  one(job: JobRecord): Promise<JobObject>;
  many(jobs: readonly JobRecord[]): Promise<JobObject[]>;
}

/** One more statement for all jobs of an answer that have begun, and none where nobody plans or all have ended. */
export function createShowJobs(database: Queryable, currentPlan: () => ScalingPlan | null): ShowJobs {
  const many = async (jobs: readonly JobRecord[]): Promise<JobObject[]> => {
    const plan = currentPlan();
    if (!plan) return jobs.map((job) => toJobObject(job));
    const begun = jobs.filter(({ status }) => status === 'in_progress').map(({ id }) => id);
    const calls = Map.groupBy(await findOpenCalls(database, begun), ({ jobId }) => jobId);
    return jobs.map((job) => toJobObject(job, forecastOf(plan, job, calls.get(job.id) ?? [])));
  };
  return {
    many,
    one: async (job) => (await many([job]))[0] ?? toJobObject(job),
  };
}

/** What a job that was committed this instant may expect, if its calls go to these pools. */
export function newJobForecast(
  plan: ScalingPlan | null,
  job: Pick<JobRecord, 'priority'>,
  pools: readonly string[],
): JobForecast {
  return toJobForecast(plan && forecastNew(plan, job.priority, pools));
}

function forecastOf(plan: ScalingPlan, job: JobRecord, calls: readonly OpenCallsRecord[]): JobForecast {
  // Its plan has not been looked at: nobody knows its pools yet.
  if (job.status === 'queued') return newJobForecast(plan, job, []);
  return toJobForecast(calls.length === 0 ? null : forecastJob(plan, job.priority, calls));
}

function toJobForecast(forecast: Forecast | null): JobForecast {
  const { position = null, etaMs = null } = forecast ?? {};
  return { queuePosition: position, etaSeconds: etaMs === null ? null : Math.ceil(etaMs / 1_000) };
}
