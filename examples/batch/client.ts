import { randomUUID } from 'node:crypto';

/** The parts of a job object that the example shows. */
export interface Job {
  id: string;
  status: string;
  output: unknown;
  error: { code: string; message: string } | null;
  progress: { steps_done: number; steps_known: number };
  usage: { calls: number };
  cost_usd: string;
}

/** How a step was served. */
export interface Step {
  key: string;
  lane: string;
  lane_reason: string;
  batch_id: string | null;
  cost_usd: string;
}

/** What the example asks of Millrace, over HTTP like anybody. */
export interface MillraceClient {
  submit(request: Record<string, unknown>): Promise<Job>;
  get(jobId: string): Promise<Job>;
  /** All steps of a job, page by page. */
  steps(jobId: string): Promise<Step[]>;
}

/** Throws when Millrace refuses something. */
export function createClient(apiUrl: string, apiKey: string): MillraceClient {
  const send = async (path: string, init: RequestInit = {}): Promise<unknown> => {
    const response = await fetch(`${apiUrl}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...init.headers },
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response.json();
  };
  return {
    submit: async (request) =>
      (await send('/v1/jobs', {
        method: 'POST',
        headers: { 'idempotency-key': randomUUID() },
        body: JSON.stringify(request),
      })) as Job,
    get: async (jobId) => (await send(`/v1/jobs/${jobId}`)) as Job,
    async steps(jobId) {
      const steps: Step[] = [];
      for (let after = ''; ;) {
        const from = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
        const page = (await send(`/v1/jobs/${jobId}/steps?limit=100${from}`)) as {
          data: Step[];
          has_more: boolean;
        };
        steps.push(...page.data);
        const last = page.data.at(-1);
        if (!page.has_more || !last) return steps;
        after = last.key;
      }
    },
  };
}
