import { setTimeout as pause } from 'node:timers/promises';

export interface JobObject {
  id: string;
  type: string;
  status: string;
  output: unknown;
  error: { code: string; message: string } | null;
  usage: { input_tokens: number; output_tokens: number; calls: number; ambiguous_calls: number };
  cost_usd: string;
  finished_at: string | null;
  progress: {
    steps_done: number;
    steps_known: number;
    queue_position: number | null;
    eta_seconds: number | null;
  };
}

/** A step as far as the tests look at it. */
export interface StepObject {
  key: string;
  status: string;
  target: string | null;
  ambiguous: boolean;
  output: unknown;
  error: { code: string; message: string } | null;
  attempts: { number: number; target: string; status: string; error: { code: string } | null }[];
}

/** An answer, read whole. */
export interface HttpAnswer {
  status: number;
  headers: Headers;
  text: string;
  /** The body as JSON; undefined where it is none. */
  body: unknown;
  tookMs: number;
}

/** A client that does what a careful service does: it repeats with the same key until it has an answer. */
export function createHttpClient(stack: { apiUrl: string; bootstrapKey: string }, key = stack.bootstrapKey) {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };

  async function send(
    path: string,
    init: RequestInit & { headers?: Record<string, string> } = {},
  ): Promise<Response> {
    return fetch(`${stack.apiUrl}${path}`, { ...init, headers: { ...headers, ...init.headers } });
  }

  /** Repeats while the API is away or says so (5xx, 429), up to a minute. */
  async function surely(path: string, init: Parameters<typeof send>[1] = {}): Promise<Response> {
    const deadlineAt = Date.now() + 60_000;
    for (;;) {
      const response = await send(path, { ...init, signal: AbortSignal.timeout(5_000) }).catch(() => null);
      if (response && response.status < 500 && response.status !== 429) return response;
      if (Date.now() > deadlineAt)
        throw new Error(`${path}: no answer for a minute (${response?.status ?? 'no connection'})`);
      await pause(200);
    }
  }

  return {
    send,
    async submit(key: string, request: Record<string, unknown>): Promise<JobObject> {
      const response = await surely('/v1/jobs', {
        method: 'POST',
        headers: { 'idempotency-key': key },
        body: JSON.stringify(request),
      });
      const body = await response.text();
      if (!response.ok) throw new Error(`submit answered ${response.status}: ${body}`);
      return JSON.parse(body) as JobObject;
    },
    async get(jobId: string): Promise<JobObject> {
      return (await (await surely(`/v1/jobs/${jobId}`)).json()) as JobObject;
    },
    /** Sends once and reads the answer whole; gives up after ten seconds. */
    async ask(
      method: string,
      path: string,
      body?: unknown,
      more: Record<string, string> = {},
    ): Promise<HttpAnswer> {
      const startedAt = performance.now();
      const response = await send(path, {
        method,
        headers: more,
        signal: AbortSignal.timeout(10_000),
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const tookMs = performance.now() - startedAt;
      return { status: response.status, headers: response.headers, text, body: parse(text), tookMs };
    },
    async steps(jobId: string): Promise<StepObject[]> {
      const list = (await (await surely(`/v1/jobs/${jobId}/steps?limit=100`)).json()) as {
        data: StepObject[];
      };
      return list.data;
    },
    /** Polls until all jobs have ended; throws with those that have not. */
    async allEnded(jobIds: readonly string[], timeoutMs: number): Promise<JobObject[]> {
      const deadlineAt = Date.now() + timeoutMs;
      const ended = new Map<string, JobObject>();
      for (;;) {
        const open = jobIds.filter((id) => !ended.has(id));
        for (const id of open) {
          const job = await this.get(id);
          if (['completed', 'failed', 'cancelled', 'expired'].includes(job.status)) ended.set(id, job);
          else break;
        }
        if (ended.size === jobIds.length) return jobIds.map((id) => ended.get(id)!);
        if (Date.now() > deadlineAt) {
          const left = await Promise.all(jobIds.filter((id) => !ended.has(id)).map((id) => this.get(id)));
          const stuck = left.filter((job) => !['completed', 'failed'].includes(job.status));
          throw new Error(`${stuck.length} jobs have not ended: ${JSON.stringify(stuck.slice(0, 3))}`);
        }
        await pause(200);
      }
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
