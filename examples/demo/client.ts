import { randomUUID } from 'node:crypto';
import { EventSourceParserStream } from 'eventsource-parser/stream';

/** The parts of a job object that the demo shows. */
export interface Job {
  id: string;
  type: string;
  status: string;
  output: unknown;
  error: { code: string; message: string } | null;
  progress: { steps_done: number; steps_known: number };
  usage: { input_tokens: number; output_tokens: number; calls: number };
  cost_usd: string;
  created_at: string;
  finished_at: string | null;
}

/** One event of a job's stream. */
export interface JobEvent {
  type: string;
  step?: string;
  text?: string;
  steps_done?: number;
  steps_known?: number;
}

/** What any service does with Millrace over HTTP: submit, follow, fetch. No library of ours is needed for it. */
export interface MillraceClient {
  submit(request: Record<string, unknown>): Promise<Job>;
  get(jobId: string): Promise<Job>;
  /** What one step of a job gave. */
  stepOutput(jobId: string, key: string): Promise<unknown>;
  /** The job's events from the first one to the last. */
  follow(jobId: string): AsyncIterable<JobEvent>;
  createWebhookEndpoint(url: string): Promise<{ id: string; secret: string }>;
}

export function createClient(apiUrl: string, apiKey: string): MillraceClient {
  const send = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const response = await fetch(`${apiUrl}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...init.headers },
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return response;
  };
  return {
    async submit(request) {
      const response = await send('/v1/jobs', {
        method: 'POST',
        headers: { 'idempotency-key': randomUUID() },
        body: JSON.stringify(request),
      });
      return (await response.json()) as Job;
    },
    async get(jobId) {
      return (await (await send(`/v1/jobs/${jobId}`)).json()) as Job;
    },
    async stepOutput(jobId, key) {
      const list = (await (await send(`/v1/jobs/${jobId}/steps`)).json()) as {
        data: { key: string; output: unknown }[];
      };
      return list.data.find((step) => step.key === key)?.output;
    },
    async *follow(jobId) {
      const { body } = await send(`/v1/jobs/${jobId}/events`);
      if (!body) return;
      const events = body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const event of events) yield JSON.parse(event.data) as JobEvent;
    },
    async createWebhookEndpoint(url) {
      const response = await send('/v1/webhook_endpoints', { method: 'POST', body: JSON.stringify({ url }) });
      return (await response.json()) as { id: string; secret: string };
    },
  };
}
