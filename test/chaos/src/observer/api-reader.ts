import { setTimeout as pause } from 'node:timers/promises';
import type { ApiDelivery, ApiEvent, ApiJob, ApiStep, JobRecord } from './evidence.ts';
import { terminalStatuses } from './evidence.ts';

/** Reads what the public API says, with the patience that an outage needs. */
export function createApiReader(api: { url: string; key: string }) {
  const headers = { authorization: `Bearer ${api.key}` };

  /** The whole answer: an API that is killed may have sent half of it. */
  async function get(path: string): Promise<string> {
    const deadlineAt = performance.now() + 60_000;
    for (;;) {
      const answer = await ask(path).catch(() => null);
      if (answer !== null) return answer;
      if (performance.now() > deadlineAt) throw new Error(`${path}: no answer for a minute`);
      await pause(200);
    }
  }

  async function ask(path: string): Promise<string | null> {
    const response = await fetch(`${api.url}${path}`, { headers, signal: AbortSignal.timeout(20_000) });
    const text = await response.text();
    return response.status < 500 && response.status !== 429 ? text : null;
  }

  async function list<Item>(path: string, idOf: (item: Item) => string): Promise<Item[]> {
    const items: Item[] = [];
    for (let after = ''; ;) {
      const query = `${path.includes('?') ? '&' : '?'}limit=100${after}`;
      const page = JSON.parse(await get(`${path}${query}`)) as { data: Item[]; has_more: boolean };
      if (!Array.isArray(page.data)) throw new Error(`${path}: ${JSON.stringify(page)}`);
      items.push(...page.data);
      const last = page.data.at(-1);
      if (!page.has_more || last === undefined) return items;
      after = `&after=${encodeURIComponent(idOf(last))}`;
    }
  }

  /** All jobs of a run. */
  const jobsOf = (run: string): Promise<ApiJob[]> =>
    list<ApiJob>(`/v1/jobs?metadata[run]=${encodeURIComponent(run)}`, (job) => job.id);
  const deliveriesOf = (jobId: string): Promise<ApiDelivery[]> =>
    list<ApiDelivery>(`/v1/webhook_deliveries?job_id=${jobId}`, (delivery) => delivery.id);

  async function eventsOf(jobId: string): Promise<ApiEvent[]> {
    const text = await get(`/v1/jobs/${jobId}/events`);
    return text.split('\n\n').flatMap((block) => {
      const fields = new Map(
        block.split('\n').map((line) => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const;
        }),
      );
      const data = fields.get('data');
      if (data === undefined) return [];
      const { at, step, text: piece } = JSON.parse(data) as { at?: string; step?: string; text?: string };
      return [
        {
          id: Number(fields.get('id')),
          type: fields.get('event') ?? '',
          at: at ?? null,
          step: step ?? null,
          text: piece ?? null,
        },
      ];
    });
  }

  return {
    get,
    jobsOf,
    /**
     * Waits until every job of a run has ended and none of its deliveries is pending, `limitMs` at most, and reads
     * everything. What has not ended by then is in the records as it is: the checker says what that means.
     */
    async recordsOf(run: string, limitMs: number, options: { events: boolean }): Promise<JobRecord[]> {
      const deadlineAt = performance.now() + limitMs;
      const isLate = (): boolean => performance.now() > deadlineAt;
      const isOpen = (job: ApiJob): boolean => !terminalStatuses.includes(job.status);
      while (!isLate() && (await jobsOf(run)).some(isOpen)) await pause(250);
      const records: JobRecord[] = [];
      for (const { id } of await jobsOf(run)) {
        let deliveries = await deliveriesOf(id);
        while (!isLate() && deliveries.some((each) => each.status === 'pending')) {
          await pause(250);
          deliveries = await deliveriesOf(id);
        }
        const job = JSON.parse(await get(`/v1/jobs/${id}`)) as ApiJob;
        const steps = await list<ApiStep>(`/v1/jobs/${id}/steps`, (step) => step.key);
        // The stream of a job that has not ended would not end.
        const events = options.events && !isOpen(job) ? await eventsOf(id) : [];
        records.push({ job, steps, deliveries, events });
      }
      return records;
    },
  };
}
